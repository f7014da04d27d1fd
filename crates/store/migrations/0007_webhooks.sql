-- Endpoints of others that are told of things: what is not declared of them. `after_number` is the last
-- audit event that was looked at for an endpoint.
CREATE TABLE webhook_endpoints (
    realm_id       TEXT   NOT NULL REFERENCES realms (realm_id),
    name           TEXT   NOT NULL,
    after_number   BIGINT NOT NULL,
    disabled_at    BIGINT,
    disabled_cause TEXT,
    PRIMARY KEY (realm_id, name)
);

-- Messages for them. `body` is what is posted, the same at every try; no signature is kept. While
-- `state` is 'waiting' a message is tried at `due`; whoever takes it has it until `lease_until`.
CREATE TABLE webhook_messages (
    realm_id    TEXT   NOT NULL REFERENCES realms (realm_id),
    id          TEXT   NOT NULL,
    endpoint    TEXT   NOT NULL,
    type        TEXT   NOT NULL,
    body        TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    attempts    BIGINT NOT NULL,
    due         BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    tried_at    BIGINT,
    status      BIGINT,
    cause       TEXT,
    PRIMARY KEY (realm_id, id)
);
CREATE INDEX webhook_messages_by_endpoint ON webhook_messages (realm_id, endpoint, state, due);
CREATE INDEX webhook_messages_by_state ON webhook_messages (realm_id, state, tried_at);
