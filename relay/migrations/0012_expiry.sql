-- How far the events of each tenant that keeps them for less time than the store have been looked
-- through for what has had its time: everything up to that id is gone, or in `overdue`.
CREATE TABLE looked_through (
    tenant INTEGER PRIMARY KEY,
    id     INTEGER NOT NULL
) STRICT;

-- Events that have had their tenant's time, but had to stay: a delivery of theirs was still to be
-- made.
CREATE TABLE overdue (
    event INTEGER PRIMARY KEY
) STRICT;
