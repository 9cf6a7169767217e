-- Whom to write to: what auth tells of who signs up, so that nobody has to be asked when something happens.
CREATE TABLE contacts (
    user_id    UUID PRIMARY KEY,
    email      TEXT NOT NULL,
    name       TEXT NOT NULL,
    phone      TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE devices (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    UUID NOT NULL,
    token      TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX devices_user_id ON devices (user_id);

CREATE TABLE notifications (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id    UUID NOT NULL,
    event       TEXT NOT NULL,
    user_id     UUID NOT NULL,
    channel     TEXT NOT NULL CHECK (channel IN ('email', 'sms', 'push')),
    recipient   TEXT NOT NULL,
    subject     TEXT,
    text        TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'failed')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    error       TEXT,
    -- A process that is sending it has taken it until then.
    taken_until TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    sent_at     TIMESTAMPTZ,
    UNIQUE (event_id, channel, recipient)
);

CREATE INDEX notifications_user_id ON notifications (user_id, created_at DESC);
CREATE INDEX notifications_due ON notifications (taken_until) WHERE status = 'waiting';
