-- Kind 5 of `resources` is a tenant.

-- When a key stops working by itself.
ALTER TABLE keys ADD COLUMN expires_at INTEGER;
CREATE INDEX keys_listed ON keys (tenant, id);

-- What was replaced and still signs for a while: a list as JSON, sealed.
CREATE TABLE retiring_secrets (
    endpoint INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    secrets  BLOB NOT NULL
) STRICT;

-- Of tenants whose events are limited: those accepted on `day` (since 1970, UTC), and the bytes of
-- all payloads stored. Kept by the transactions that accept and remove events.
CREATE TABLE usage (
    tenant INTEGER PRIMARY KEY,
    day    INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bytes  INTEGER NOT NULL
) STRICT;
