-- In the log of partition 0: what tells the log of each other partition from any other log. Another
-- database in its place is not taken for it. NULL: it is told by the next launch.
ALTER TABLE partition_databases ADD COLUMN log text;
