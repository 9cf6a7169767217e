-- Whether others are still to be told that the listing was created (src/events.js). The release before, which tells nobody, goes on
-- inserting without it.
ALTER TABLE listings ADD COLUMN to_announce BOOLEAN NOT NULL DEFAULT FALSE;

CREATE INDEX listings_to_announce ON listings (created_at) WHERE to_announce;
