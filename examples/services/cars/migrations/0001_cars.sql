CREATE TABLE cars (
    id           UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id     UUID NOT NULL,
    make         TEXT NOT NULL,
    model        TEXT NOT NULL,
    year         INTEGER NOT NULL,
    price        INTEGER NOT NULL CHECK (price >= 0),
    mileage_km   INTEGER NOT NULL CHECK (mileage_km >= 0),
    fuel         TEXT NOT NULL,
    transmission TEXT NOT NULL,
    city         TEXT NOT NULL,
    description  TEXT NOT NULL,
    -- Lower-cased by the application, which knows more alphabets than the database's locale may.
    search_text  TEXT NOT NULL,
    make_key     TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX cars_newest ON cars (created_at, id);
CREATE INDEX cars_make_key_price ON cars (make_key, price);
CREATE INDEX cars_price ON cars (price);
CREATE INDEX cars_owner_id ON cars (owner_id);
