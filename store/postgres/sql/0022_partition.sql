-- Which of how many partitions the log in this schema is: written by the first launch of its system,
-- and the same for ever. A log from before has no others beside it.
CREATE TABLE log_partition (
    only_one   boolean  PRIMARY KEY DEFAULT true CHECK (only_one),
    number     smallint NOT NULL CHECK (number >= 0),
    partitions smallint NOT NULL CHECK (partitions > number)
);

INSERT INTO log_partition (number, partitions) SELECT 0, 1 WHERE EXISTS (SELECT FROM events);

-- In the log of partition 0: the others whose databases were made. One that is gone is not made anew.
CREATE TABLE partition_databases (
    number smallint PRIMARY KEY CHECK (number > 0)
);
