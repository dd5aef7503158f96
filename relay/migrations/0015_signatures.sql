-- Who vouches for a version of a plugin: Ed25519 signatures in base64, with blanks between them. Apart
-- from the versions, whose components are long.
CREATE TABLE plugin_signatures (
    tenant     INTEGER NOT NULL,
    name       TEXT NOT NULL,
    version    BLOB NOT NULL,
    signatures TEXT NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
