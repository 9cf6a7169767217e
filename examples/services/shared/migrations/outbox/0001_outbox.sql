-- Events still to be sent, one row for each queue that is to get one (src/outbox.js). A row is gone when SQS has taken its event.
CREATE TABLE outbox (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       TEXT NOT NULL,
    event       JSONB NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    -- A process that is sending it has taken it until then; so has one that failed, for a while.
    taken_until TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX outbox_due ON outbox (taken_until, id);
