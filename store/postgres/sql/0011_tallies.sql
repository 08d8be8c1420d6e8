-- How many events the log has had since the system was launched, as far as that is counted: whoever
-- counts goes on from here, on whichever machine. One row, of the system that was launched last.
CREATE TABLE tallies (
    launch  text   PRIMARY KEY,  -- no two launches have the same
    through bigint NOT NULL,     -- the position up to which it is counted
    by_type jsonb  NOT NULL DEFAULT '{}',
    by_node jsonb  NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);  -- room for in-page updates: it moves every few seconds
