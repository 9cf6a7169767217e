CREATE TABLE quotes (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         UUID NOT NULL,
    -- As it was listed then: neither quote nor policy changes with the listing.
    car             JSONB NOT NULL,
    cover           TEXT NOT NULL,
    driver_age      INTEGER NOT NULL,
    no_claims_years INTEGER NOT NULL,
    rates           TEXT NOT NULL,
    steps           JSONB NOT NULL,
    insured_value   BIGINT NOT NULL,
    premium         BIGINT NOT NULL CHECK (premium > 0),
    valid_until     TIMESTAMPTZ NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE policies (
    id            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    quote_id      UUID NOT NULL UNIQUE REFERENCES quotes,
    user_id       UUID NOT NULL,
    intent_id     UUID NOT NULL,
    starts_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    ends_at       TIMESTAMPTZ NOT NULL DEFAULT now() + interval '1 year',
    cancelled_at  TIMESTAMPTZ,
    refund        BIGINT NOT NULL DEFAULT 0,
    refund_status TEXT NOT NULL DEFAULT 'none' CHECK (refund_status IN ('none', 'requested', 'paid', 'failed'))
);

CREATE INDEX policies_user_id ON policies (user_id, starts_at DESC);
CREATE UNIQUE INDEX policies_intent_id ON policies (intent_id);

CREATE TABLE claims (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    policy_id   UUID NOT NULL REFERENCES policies,
    user_id     UUID NOT NULL,
    happened_on DATE NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    description TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'submitted' CHECK (status IN ('submitted', 'in_review', 'approved', 'rejected', 'withdrawn')),
    note        TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX claims_user_id ON claims (user_id, created_at DESC);
CREATE INDEX claims_policy_id ON claims (policy_id);
CREATE INDEX claims_status ON claims (status, created_at DESC);

-- Who moved a claim, when and where to; never changed.
CREATE TABLE claim_moves (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id UUID NOT NULL REFERENCES claims,
    by_user  UUID NOT NULL,
    status   TEXT NOT NULL,
    note     TEXT,
    moved_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX claim_moves_claim_id ON claim_moves (claim_id, id);
