-- What lasts between the requests of a flow. Every secret (code, refresh token, device code, pushed
-- request's reference, session's handle) is known by its SHA-256 in hex. `body` is the record as
-- JSON; a column stands beside it for what is looked up, compared or changed.

-- `state` is `pending` (its code or device waits to be redeemed, until `pending_until`), `active` or
-- `ended`. `offline` is 1 if the grant outlives its session.
CREATE TABLE grants (
    realm_id      TEXT   NOT NULL REFERENCES realms (realm_id),
    id            TEXT   NOT NULL,
    client_id     TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    session_id    TEXT,
    offline       BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    until_ms      BIGINT NOT NULL,
    pending_until BIGINT,
    ended_at      BIGINT,
    end_reason    TEXT,
    body          TEXT   NOT NULL,
    PRIMARY KEY (realm_id, id)
);
CREATE INDEX grants_by_subject ON grants (realm_id, subject, created_at);
CREATE INDEX grants_by_client ON grants (realm_id, client_id, created_at);
CREATE INDEX grants_by_session ON grants (realm_id, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX grants_by_age ON grants (realm_id, created_at);
CREATE INDEX grants_pending ON grants (realm_id, pending_until) WHERE state = 'pending';
CREATE INDEX grants_active ON grants (realm_id, until_ms) WHERE state = 'active';
CREATE INDEX grants_ended ON grants (realm_id, ended_at) WHERE state = 'ended';

CREATE TABLE codes (
    realm_id    TEXT   NOT NULL REFERENCES realms (realm_id),
    hash        TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    grant_id    TEXT   NOT NULL,
    until_ms    BIGINT NOT NULL,
    redeemed_at BIGINT,
    body        TEXT   NOT NULL,
    PRIMARY KEY (realm_id, hash)
);
CREATE INDEX codes_by_end ON codes (realm_id, until_ms);

-- A line of tokens: each is replaced by its `successor`. `refreshed_at` is when the refresh that
-- made it (or, without rotation, that used it last) took place; NULL for the first of a line.
CREATE TABLE refresh_tokens (
    realm_id     TEXT   NOT NULL REFERENCES realms (realm_id),
    hash         TEXT   NOT NULL,
    grant_id     TEXT   NOT NULL,
    until_ms     BIGINT NOT NULL,
    refreshed_at BIGINT,
    replaced_at  BIGINT,
    successor    TEXT,
    PRIMARY KEY (realm_id, hash)
);
-- One is current, whatever races.
CREATE UNIQUE INDEX refresh_tokens_current ON refresh_tokens (realm_id, grant_id) WHERE replaced_at IS NULL;
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (realm_id, until_ms);

CREATE TABLE pushed_requests (
    realm_id  TEXT   NOT NULL REFERENCES realms (realm_id),
    hash      TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    until_ms  BIGINT NOT NULL,
    spent_at  BIGINT,
    body      TEXT   NOT NULL,
    PRIMARY KEY (realm_id, hash)
);
CREATE INDEX pushed_requests_by_end ON pushed_requests (realm_id, until_ms);

-- A session that was ended has no row. `idle_until` is the one that counts, not the body's.
CREATE TABLE sessions (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    id         TEXT   NOT NULL,
    handle     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    until_ms   BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    PRIMARY KEY (realm_id, id)
);
CREATE UNIQUE INDEX sessions_by_handle ON sessions (realm_id, handle);
CREATE INDEX sessions_by_subject ON sessions (realm_id, subject, created_at);
CREATE INDEX sessions_by_age ON sessions (realm_id, created_at);
CREATE INDEX sessions_by_end ON sessions (realm_id, until_ms);
CREATE INDEX sessions_by_idle_end ON sessions (realm_id, idle_until);

CREATE TABLE consents (
    realm_id  TEXT   NOT NULL REFERENCES realms (realm_id),
    subject   TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    body      TEXT   NOT NULL,
    PRIMARY KEY (realm_id, subject, client_id)
);
CREATE INDEX consents_by_client ON consents (realm_id, client_id);

-- `state` is `waiting`, `approved`, `denied`, `redeemed`, or `over` for one that waited in vain
-- and whose user code was given to another.
CREATE TABLE devices (
    realm_id    TEXT   NOT NULL REFERENCES realms (realm_id),
    hash        TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    user_code   TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    grant_id    TEXT,
    interval_ms BIGINT NOT NULL,
    polled_at   BIGINT,
    until_ms    BIGINT NOT NULL,
    body        TEXT   NOT NULL,
    PRIMARY KEY (realm_id, hash)
);
-- A user code means one device as long as somebody may type it.
CREATE UNIQUE INDEX devices_waiting ON devices (realm_id, user_code) WHERE state = 'waiting';
CREATE INDEX devices_by_end ON devices (realm_id, until_ms);

-- `due` is when a notice is tried next; whoever takes it moves it on, which is the lease.
CREATE TABLE logout_notices (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    id         TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    session_id TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    due        BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, id)
);
CREATE INDEX logout_notices_by_due ON logout_notices (realm_id, due);
