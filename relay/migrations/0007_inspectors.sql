-- Receivers within the relay. What they were sent is kept in memory only.
CREATE TABLE inspectors (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    token      TEXT NOT NULL,
    status     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
