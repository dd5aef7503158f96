-- What receivers have failed at since their last success, so that it outlasts a restart.
-- `warned` is the percents of the way to being disabled that were told last.
CREATE TABLE failing (
    endpoint INTEGER PRIMARY KEY,
    since    INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    warned   INTEGER NOT NULL
) STRICT;
