-- Counted is under every name that lasts: a credential's id, and that of each of its secrets, a key's
-- thumbprint, a certificate's hash, a client, an issuer. `belongs_to` says of what a secret or key is
-- one, and is NULL for what stands alone.
ALTER TABLE credential_usage ADD COLUMN belongs_to TEXT;

-- Rows of single tokens: nobody can ask for them, and there was one for each token and hour.
DELETE FROM credential_usage WHERE credential LIKE 'jti:%' OR credential LIKE 'sha256:%';

CREATE INDEX credential_usage_by_hour ON credential_usage (realm_id, hour);
CREATE INDEX credential_usage_by_what_it_belongs_to ON credential_usage (realm_id, belongs_to, hour);
