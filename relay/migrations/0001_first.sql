-- Ids are 63-bit numbers whose upper bits are a time, so every table keyed by one grows at
-- its end. No foreign keys: deletions are ranges of ids, and the relay makes them.

-- What was received. `endpoints` is the list of matched endpoint ids, 8 bytes each, little
-- endian: delivery number n has the id of the event plus (n + 1) * 256, and gets a row in
-- `deliveries` when there is something to say. What may be long stands last, so that a scan
-- does not walk through it.
CREATE TABLE events (
    id           INTEGER PRIMARY KEY,
    tenant       INTEGER NOT NULL,
    source       INTEGER,
    received_at  INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    endpoints    BLOB NOT NULL,
    checksum     INTEGER NOT NULL,
    origin       TEXT NOT NULL,
    sender_id    TEXT,
    subject      TEXT,
    time         INTEGER,
    content_type TEXT,
    meta         TEXT,
    data         BLOB NOT NULL
) STRICT;

-- Where a delivery stands. States: 0 pending, 1 succeeded, 2 failed, 3 dropped, 4 cancelled.
-- `last` is the latest attempt as JSON; older ones stand in `attempts`.
CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY,
    event      INTEGER NOT NULL,
    endpoint   INTEGER NOT NULL,
    tenant     INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    due        INTEGER,
    attempts   INTEGER NOT NULL,
    manual     INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    reason     TEXT,
    last       TEXT,
    messages   BLOB
) STRICT;

-- Partial, so that a delivery that succeeds at once touches no index. The row id, which is
-- the delivery's, ends every entry.
CREATE INDEX deliveries_waiting ON deliveries (endpoint, due) WHERE state = 0;

CREATE TABLE attempts (
    delivery INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    attempt  TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE dedupe (
    tenant  INTEGER NOT NULL,
    key     BLOB NOT NULL,
    event   INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX dedupe_seen ON dedupe (seen_at);

CREATE TABLE names (
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    name   TEXT NOT NULL,
    id     INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_secrets (
    endpoint   INTEGER PRIMARY KEY,
    symmetric  TEXT NOT NULL,
    asymmetric TEXT NOT NULL
) STRICT;

CREATE TABLE disabled (
    endpoint INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    reason   TEXT NOT NULL
) STRICT;

CREATE TABLE keys (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    role       INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE state (
    tenant  INTEGER NOT NULL,
    owner   INTEGER NOT NULL,
    plugin  TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB NOT NULL,
    expires INTEGER,
    PRIMARY KEY (tenant, owner, plugin, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX state_expiring ON state (expires) WHERE expires IS NOT NULL;

-- Bytes of keys and values in each scope of `state`, kept with every change.
CREATE TABLE state_sizes (
    tenant INTEGER NOT NULL,
    owner  INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner, plugin)
) STRICT, WITHOUT ROWID;

-- `checkpoint`: every delivery of every event up to this id has a row.
-- `last_removed`: the largest id that pruning removed, so that no id is made twice.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks (name, value) VALUES ('checkpoint', 0), ('last_removed', 0);
