-- Deliveries of old events that were asked for again. Their ids are of their own time: the event
-- does not plan them, so it is said here, under a checksum, whose they are.
CREATE TABLE replayed (
    id       INTEGER PRIMARY KEY,
    event    INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE INDEX replayed_of ON replayed (event);

-- Deliveries that ended without success, newest at the end of each state. One that succeeds
-- touches no index but, if it had to wait, that of those that wait.
CREATE INDEX deliveries_undelivered ON deliveries (tenant, state) WHERE state >= 2;

-- Work over many deliveries or events. States: 0 running, 1 done, 2 cancelled. `cursor` is the
-- last raw id that was looked at; it moves in the commit of what was done up to it.
CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    work       TEXT NOT NULL,
    total      INTEGER,
    done       INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    rate       REAL,
    cursor     INTEGER NOT NULL,
    before     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;

CREATE INDEX jobs_listed ON jobs (tenant, id);
CREATE INDEX jobs_running ON jobs (state) WHERE state = 0;
