-- Opaque access tokens. A token is known by the SHA-256 of its text in hex; `body` is the JSON of the
-- claims that a JWT would have had. Nobody can make a token of a row. `until_ms` is when it can go.
CREATE TABLE access_tokens (
    realm_id  TEXT   NOT NULL REFERENCES realms (realm_id),
    hash      TEXT   NOT NULL,
    token_id  TEXT   NOT NULL,
    client_id TEXT   NOT NULL,
    grant_id  TEXT,
    until_ms  BIGINT NOT NULL,
    body      TEXT   NOT NULL,
    PRIMARY KEY (realm_id, hash)
);
CREATE INDEX access_tokens_by_end ON access_tokens (realm_id, until_ms);
