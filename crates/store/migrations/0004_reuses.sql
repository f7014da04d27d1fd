-- Asked at every authorization request: whether a refresh token of this person and client was used
-- after it had been replaced. Nearly always there is none, and the index is empty.
CREATE INDEX grants_reused ON grants (realm_id, subject, client_id, ended_at) WHERE end_reason = 'refresh-reused';
