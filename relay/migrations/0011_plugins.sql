-- Plugins that were uploaded. `history`: the digests of the versions that were promoted, one after
-- the other; the last is current.
CREATE TABLE plugins (
    tenant  INTEGER NOT NULL,
    name    TEXT NOT NULL,
    history BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- `version` is the SHA-256 digest of `component`, `about` what the component says about itself, as
-- JSON. The longest stands last: what is in front of it is read without it.
CREATE TABLE plugin_versions (
    id        INTEGER PRIMARY KEY,
    tenant    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    version   BLOB NOT NULL,
    made_at   INTEGER NOT NULL,
    made_by   INTEGER,
    about     TEXT NOT NULL,
    component BLOB NOT NULL,
    UNIQUE (tenant, name, version)
) STRICT;
