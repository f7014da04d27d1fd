-- What signs requests is a credential with a scheme. `scheme` is NULL for every other type.
ALTER TABLE credentials ADD COLUMN scheme TEXT;

-- What it signs by. `body` is, by `kind`, a secret sealed under the master key that `sealed_under`
-- names (`shared`), or a public key as a JWK in UTF-8 (`public`, `sealed_under` is NULL). The row
-- goes when it has ended, or when its credential is revoked.
CREATE TABLE signing_material (
    realm_id     TEXT   NOT NULL REFERENCES realms (realm_id),
    id           TEXT   NOT NULL,
    credential   TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    body         BYTEA  NOT NULL,
    sealed_under TEXT,
    created_at   BIGINT NOT NULL,
    until_ms     BIGINT,
    PRIMARY KEY (realm_id, id),
    FOREIGN KEY (realm_id, credential) REFERENCES credentials (realm_id, id)
);
CREATE INDEX signing_material_by_credential ON signing_material (realm_id, credential);
CREATE INDEX signing_material_by_end ON signing_material (realm_id, until_ms);
CREATE INDEX signing_material_by_master_key ON signing_material (realm_id, sealed_under);
