-- What resources said before, so that a change can be taken back. The newest row of a resource is what
-- it says now; the oldest go as new ones come.
CREATE TABLE resource_versions (
    realm_id   TEXT   NOT NULL REFERENCES realms (realm_id),
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    spec       TEXT   NOT NULL,
    managed_by TEXT   NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (realm_id, kind, name, version)
);
