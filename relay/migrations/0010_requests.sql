-- What requests that their callers named were answered, to be answered again. `name` is a digest
-- of the caller and the name. `content` is sealed: what the request was, and the answer once there
-- is one.
CREATE TABLE replies (
    tenant     INTEGER NOT NULL,
    name       BLOB NOT NULL,
    claimed_at INTEGER NOT NULL,
    content    BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX replies_claimed ON replies (claimed_at);

-- Who did what: each entry has the hash of itself and all before it in its tenant. `entry` is the
-- JSON text that was hashed; what lists are asked by stands beside it.
CREATE TABLE audit (
    tenant INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    actor  INTEGER,
    action TEXT NOT NULL,
    object TEXT,
    name   TEXT,
    entry  TEXT NOT NULL,
    hash   BLOB NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;

-- What the oldest entry that is kept follows on.
CREATE TABLE audit_anchors (
    tenant INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT;
