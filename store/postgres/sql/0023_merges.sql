-- The order in which a stream program reads the logs of several partitions as one (store/merges.py):
-- in the log where it has its home. Its number tells it from one of the same name that was dropped.
CREATE TABLE merges (
    number  bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    program text     NOT NULL UNIQUE,
    began   bigint[] NOT NULL  -- a position of each log
);

-- Pieces of the logs, one behind the other: each is there before anything that was made of it. The first
-- key is what lets one of those in who would put something behind the same place.
CREATE TABLE merge_legs (
    merge     bigint   NOT NULL REFERENCES merges ON DELETE CASCADE,
    after     bigint   NOT NULL,
    log_after bigint   NOT NULL,
    length    bigint   NOT NULL CHECK (length > 0),
    merged    bigint   NOT NULL,  -- Unix microseconds, as are the two below
    newest    bigint,
    heard     bigint,
    partition smallint NOT NULL,
    PRIMARY KEY (merge, after)
);

CREATE INDEX merge_legs_of_log_idx ON merge_legs (merge, partition, log_after);
CREATE INDEX merge_legs_of_place_idx ON merge_legs (merge, partition, after);
