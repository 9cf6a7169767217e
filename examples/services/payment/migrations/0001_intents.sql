CREATE TABLE intents (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    -- The service that asked for it, and its key for asking.
    service         TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    user_id         UUID NOT NULL,
    amount          BIGINT NOT NULL CHECK (amount > 0),
    reference       TEXT NOT NULL,
    description     TEXT NOT NULL,
    status          TEXT NOT NULL DEFAULT 'requires_payment' CHECK (status IN ('requires_payment', 'processing', 'succeeded')),
    decline_reason  TEXT,
    refunded        BIGINT NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
    expires_at      TIMESTAMPTZ NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (service, idempotency_key)
);

CREATE INDEX intents_user_id ON intents (user_id, created_at DESC);

-- What the provider was or is to be asked to do: charges, and refunds of them. Its id is the key by which the provider does it once.
CREATE TABLE orders (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    intent_id       UUID NOT NULL REFERENCES intents,
    kind            TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
    amount          BIGINT NOT NULL CHECK (amount > 0),
    payment_method  TEXT,
    -- Of a charge: the client's key for confirming.
    idempotency_key TEXT,
    status          TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'declined')),
    reason          TEXT,
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- A process that is asking the provider has taken it until then.
    taken_until     TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (intent_id, idempotency_key)
);

-- Nobody is charged twice at the same time for the same thing, nor again once it is paid.
CREATE UNIQUE INDEX orders_one_charge ON orders (intent_id) WHERE kind = 'charge' AND status <> 'declined';
CREATE INDEX orders_due ON orders (taken_until) WHERE status = 'pending';
