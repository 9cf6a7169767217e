CREATE TABLE users (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    -- Lower-cased by the application, which knows more alphabets than the database's locale may.
    email      TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    phone      TEXT,
    password   TEXT NOT NULL,
    roles      TEXT[] NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Refresh tokens, of which only digests are kept. All that came from one login are one family.
CREATE TABLE refresh_tokens (
    digest     BYTEA PRIMARY KEY,
    family     UUID NOT NULL,
    user_id    UUID NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ
);

CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

-- How often somebody tried to log in, by a digest of who and whence (src/attempts.js).
CREATE TABLE login_attempts (
    key     BYTEA PRIMARY KEY,
    count   INTEGER NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX login_attempts_ends_at ON login_attempts (ends_at);
