-- Events that were worked on, in the transaction that did the work (src/inbox.js).
CREATE TABLE inbox (
    event_id    UUID PRIMARY KEY,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX inbox_received_at ON inbox (received_at);
