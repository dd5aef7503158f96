-- From here on what is secret is sealed: `signing_secrets`, `deliveries.messages` and
-- `state.value`. Sealed bytes begin with 2 and the id of a data key; messages in the clear
-- began with 1.

-- The keys that values are sealed with, themselves sealed with a master key.
CREATE TABLE data_keys (
    id     INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL UNIQUE,
    master BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

ALTER TABLE signing_secrets RENAME TO signing_secrets_in_the_clear;

CREATE TABLE signing_secrets (
    endpoint   INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    symmetric  BLOB NOT NULL,
    asymmetric BLOB NOT NULL
) STRICT;

-- `sealed`: 1 once everything that came before this step is sealed, too.
INSERT INTO marks (name, value) VALUES ('sealed', 0);
