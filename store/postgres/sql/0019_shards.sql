-- Which host has which shard of the actors: one row, so that whoever reads it reads one version, and
-- whoever changes it waits for everybody else who does.
CREATE TABLE shard_table (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    version  bigint  NOT NULL,  -- counts the moves
    hosts    text[]  NOT NULL,  -- by shard, from shard 0 on
    dealt_to text[]  NOT NULL   -- whom the launch dealt it out to that did last
);
