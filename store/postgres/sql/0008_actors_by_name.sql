-- The actors of a type by name, a page at a time. Each has one event of version 1, so this index has
-- one entry an actor, and costs the others' rows a look at their version.
CREATE INDEX events_first_idx ON events (source COLLATE "C") WHERE version = 1;
