-- What happened, counted by the minute and by the hour (`step`: 60 or 3600 seconds, beginning at
-- `at`), for each endpoint or source (`subject`; 0 for events posted to the API) and event type.
-- `counts` is JSON. In the order of what is asked: one subject over a span of time.
CREATE TABLE counts (
    tenant  INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    counts  TEXT NOT NULL,
    PRIMARY KEY (tenant, subject, step, at, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX counts_old ON counts (step, at);

-- Alerts that fire at present, each for one endpoint, or for all (0).
CREATE TABLE firing (
    alert   INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    since   INTEGER NOT NULL,
    told_at INTEGER NOT NULL,
    value   REAL NOT NULL,
    PRIMARY KEY (alert, subject)
) STRICT, WITHOUT ROWID;
