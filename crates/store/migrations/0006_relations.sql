-- Who has what to do with which object. `subject_relation` is empty where the subject is one thing, or
-- (`subject_id` is `*`) everything of a type. A row whose `until_ms` has passed counts for nothing,
-- and goes when it is swept.
CREATE TABLE relations (
    realm_id         TEXT   NOT NULL REFERENCES realms (realm_id),
    object_type      TEXT   NOT NULL,
    object_id        TEXT   NOT NULL,
    relation         TEXT   NOT NULL,
    subject_type     TEXT   NOT NULL,
    subject_id       TEXT   NOT NULL,
    subject_relation TEXT   NOT NULL,
    until_ms         BIGINT,
    purpose          TEXT,
    created_at       BIGINT NOT NULL,
    created_by       TEXT   NOT NULL,
    PRIMARY KEY (realm_id, object_type, object_id, relation, subject_type, subject_id, subject_relation)
);
CREATE INDEX relations_by_subject ON relations
    (realm_id, subject_type, subject_id, subject_relation, object_type, object_id, relation);
CREATE INDEX relations_by_end ON relations (realm_id, until_ms);
