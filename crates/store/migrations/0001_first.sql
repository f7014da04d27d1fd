-- The first schema. One text for SQLite and PostgreSQL: BIGINT for numbers and times (Unix
-- milliseconds), TEXT for ids, names and JSON, BYTEA for sealed bytes. Every key and unique index
-- begins with the realm. What stands in `state`, `kind` and the like is checked by the program as
-- it reads: a word it does not know is an error, never a guess.

CREATE TABLE realms (
    realm_id TEXT NOT NULL PRIMARY KEY
);

-- The last numbers given out. The row is the lock under which every change is numbered, and so
-- the order of numbers is the order of commits.
CREATE TABLE counters (
    realm_id     TEXT   NOT NULL PRIMARY KEY REFERENCES realms (realm_id),
    changes      BIGINT NOT NULL,
    audit_events BIGINT NOT NULL
);

CREATE TABLE changes (
    realm_id TEXT   NOT NULL REFERENCES realms (realm_id),
    number   BIGINT NOT NULL,
    subject  TEXT   NOT NULL,
    kind     TEXT,
    name     TEXT,
    owner    TEXT,
    PRIMARY KEY (realm_id, number)
);

-- `username` is what an account is found by, in its normal form; NULL for every other kind.
CREATE TABLE resources (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    spec       TEXT   NOT NULL,
    username   TEXT,
    version    BIGINT NOT NULL,
    managed_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, kind, name)
);
CREATE UNIQUE INDEX resources_by_id ON resources (realm_id, id);
CREATE UNIQUE INDEX resources_by_username ON resources (realm_id, username);

-- `verifier` is a hash in its stored form, `verifier_algorithm` the name of the hash.
-- `lookup_value` is NULL for what is found by its owner only; NULLs never collide.
CREATE TABLE credentials (
    realm_id           TEXT   NOT NULL REFERENCES realms (realm_id),
    id                 TEXT   NOT NULL,
    type               TEXT   NOT NULL,
    owner_kind         TEXT,
    owner              TEXT   NOT NULL,
    label              TEXT   NOT NULL,
    environment        TEXT   NOT NULL,
    lookup_kind        TEXT   NOT NULL,
    lookup_value       TEXT,
    verifier_algorithm TEXT   NOT NULL,
    verifier           TEXT   NOT NULL,
    display            TEXT   NOT NULL,
    granted            TEXT   NOT NULL,
    state              TEXT   NOT NULL,
    created_at         BIGINT NOT NULL,
    expires_at         BIGINT,
    successor          TEXT,
    version            BIGINT NOT NULL,
    PRIMARY KEY (realm_id, id),
    FOREIGN KEY (realm_id, successor) REFERENCES credentials (realm_id, id)
);
CREATE UNIQUE INDEX credentials_by_lookup ON credentials (realm_id, lookup_kind, lookup_value);
CREATE INDEX credentials_by_owner ON credentials (realm_id, owner, type);

-- `number` is given under the lock; the sequencer chains in its order, so that a chained event's
-- number is its sequence. `hash` is NULL until then.
CREATE TABLE audit_events (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    number     BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    request_id TEXT   NOT NULL,
    details    TEXT   NOT NULL,
    hash       TEXT,
    PRIMARY KEY (realm_id, number)
);
CREATE UNIQUE INDEX audit_events_by_id ON audit_events (realm_id, id);

-- How far the chain has grown, and which node may lengthen it until when.
CREATE TABLE audit_chain (
    realm_id TEXT   NOT NULL PRIMARY KEY REFERENCES realms (realm_id),
    sequence BIGINT NOT NULL,
    hash     TEXT   NOT NULL,
    holder   TEXT   NOT NULL,
    until_ms BIGINT NOT NULL
);

CREATE TABLE audit_checkpoints (
    realm_id  TEXT   NOT NULL REFERENCES realms (realm_id),
    sequence  BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    hash      TEXT   NOT NULL,
    signature TEXT   NOT NULL,
    PRIMARY KEY (realm_id, sequence, at)
);

-- `entry` is the versioned JSON of one judged call.
CREATE TABLE decisions (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    at         BIGINT NOT NULL,
    request_id TEXT   NOT NULL,
    entry      TEXT   NOT NULL,
    PRIMARY KEY (realm_id, at, request_id)
);

CREATE TABLE credential_usage (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    credential TEXT   NOT NULL,
    hour       BIGINT NOT NULL,
    calls      BIGINT NOT NULL,
    last_used  BIGINT NOT NULL,
    PRIMARY KEY (realm_id, credential, hour)
);

-- `sealed` is the private key under the key-encryption key; the row stays for ever, since key ids
-- are never used again.
CREATE TABLE signing_keys (
    realm_id     TEXT   NOT NULL REFERENCES realms (realm_id),
    kid          TEXT   NOT NULL,
    purpose      TEXT   NOT NULL,
    algorithm    TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    until_ms     BIGINT,
    sealed       BYTEA  NOT NULL,
    public_jwk   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    activated_at BIGINT,
    PRIMARY KEY (realm_id, kid)
);
-- One key signs for a purpose, whatever races.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys (realm_id, purpose) WHERE state = 'active';

CREATE TABLE used_once (
    realm_id TEXT   NOT NULL REFERENCES realms (realm_id),
    scope    TEXT   NOT NULL,
    id       TEXT   NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (realm_id, scope, id)
);
CREATE INDEX used_once_by_end ON used_once (realm_id, until_ms);

-- `kind` is `token` (name: its `jti`) or `client_epoch` (name: the `client_id`).
CREATE TABLE revocations (
    realm_id  TEXT   NOT NULL REFERENCES realms (realm_id),
    kind      TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    before_ms BIGINT,
    until_ms  BIGINT NOT NULL,
    PRIMARY KEY (realm_id, kind, name)
);
CREATE INDEX revocations_by_end ON revocations (realm_id, until_ms);

INSERT INTO realms (realm_id) VALUES ('default');
INSERT INTO counters (realm_id, changes, audit_events) VALUES ('default', 0, 0);
INSERT INTO audit_chain (realm_id, sequence, hash, holder, until_ms)
    VALUES ('default', 0, '0000000000000000000000000000000000000000000000000000000000000000', '', 0);
