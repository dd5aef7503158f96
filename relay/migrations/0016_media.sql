-- Files that plugins had the relay keep; their bytes are files in a folder. `state`: 0 is being
-- written, 1 is there, 2 is to be removed. `expires_at` is when one that is there is removed, or when
-- one that is being written is given up.
CREATE TABLE media (
    id           INTEGER PRIMARY KEY,
    tenant       INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    digest       BLOB NOT NULL,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    made_at      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX media_by_tenant ON media (tenant);
CREATE INDEX media_by_digest ON media (tenant, digest);
CREATE INDEX media_by_end ON media (expires_at);

-- What the files of a tenant take: those to be removed too, as long as they are there.
CREATE TABLE media_sizes (
    tenant INTEGER PRIMARY KEY,
    bytes  INTEGER NOT NULL
) STRICT;

-- What their addresses are signed with; sealed.
CREATE TABLE media_keys (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB NOT NULL
) STRICT;
