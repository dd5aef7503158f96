-- What rules keep. `version` tells apart what was kept while a rule read otherwise; `key` and the
-- values are JSON.

-- The last value of each key; `event` is the last event of the key.
CREATE TABLE rule_values (
    rule    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT NOT NULL,
    event   INTEGER NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (rule, version, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX rule_values_seen ON rule_values (rule, version, event);

-- Keys of each rule in `rule_values`, kept with every change.
CREATE TABLE rule_sizes (
    rule    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    keys    INTEGER NOT NULL,
    PRIMARY KEY (rule, version)
) STRICT, WITHOUT ROWID;

-- Armed timers. `number` tells apart those of one key: 0 where it has only one, else the event.
-- `since` is when it was armed first, `event` what armed it last; that event is not removed.
CREATE TABLE timers (
    rule     INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    key      TEXT NOT NULL,
    number   INTEGER NOT NULL,
    tenant   INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    event    INTEGER NOT NULL,
    hops     INTEGER NOT NULL,
    old      TEXT,
    new      TEXT,
    PRIMARY KEY (rule, version, key, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX timers_due ON timers (due);
CREATE INDEX timers_event ON timers (event);

-- Timers of each tenant, kept with every change.
CREATE TABLE timer_counts (
    tenant INTEGER PRIMARY KEY,
    timers INTEGER NOT NULL
) STRICT;
