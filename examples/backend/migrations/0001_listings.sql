-- Written in the SQL that SQLite and PostgreSQL share, so that one file serves both.
CREATE TABLE listings (
    id           UUID PRIMARY KEY,
    make         TEXT NOT NULL,
    model        TEXT NOT NULL,
    year         INTEGER NOT NULL,
    price        INTEGER NOT NULL CHECK (price >= 0),
    mileage_km   INTEGER NOT NULL CHECK (mileage_km >= 0),
    fuel         TEXT NOT NULL,
    transmission TEXT NOT NULL,
    city         TEXT NOT NULL,
    description  TEXT NOT NULL,
    -- Lower-cased by the application: SQLite's lower() only knows ASCII, PostgreSQL's depends on the locale.
    search_text  TEXT NOT NULL,
    make_key     TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL
);

CREATE INDEX listings_newest ON listings (created_at, id);
CREATE INDEX listings_make_key_price ON listings (make_key, price);
CREATE INDEX listings_price ON listings (price);
