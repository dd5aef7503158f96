-- What is managed while the relay runs: kinds 1 source, 2 endpoint. `definition` is sealed: it
-- may hold secrets. What is deleted stays for a while, so that it can be restored.
CREATE TABLE resources (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    name       TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    definition BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX resources_living ON resources (tenant, kind, name) WHERE deleted_at IS NULL;
CREATE INDEX resources_listed ON resources (tenant, kind, id);
CREATE INDEX resources_deleted ON resources (deleted_at) WHERE deleted_at IS NOT NULL;
