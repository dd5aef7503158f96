-- Where sources are reached whose paths were rotated. `paths` is sealed: whoever knows a path may
-- post by it.
CREATE TABLE source_paths (
    source INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    paths  BLOB NOT NULL
) STRICT;
