-- What the log knows of its types, so that a class can be held against it without a look at the
-- log: both tables have a row a type, whatever the number of events.

-- The class that decides the actors of a type, by its full name.
CREATE TABLE actor_types (
    actor_type text PRIMARY KEY,
    class      text NOT NULL
);

-- The event types that the log has, or is about to have, of an actor type: a host notes one
-- before its first event. Those of sources that no actor can have are noted under ''.
CREATE TABLE event_types (
    actor_type text NOT NULL,
    event_type text NOT NULL,
    PRIMARY KEY (actor_type, event_type)
);

-- Of a log that is older than this: one pass over it, and never again. No index leads to the types,
-- so every row is read; the regular expression looks at what is different alone, which is little.
INSERT INTO event_types (actor_type, event_type)
SELECT DISTINCT
    CASE WHEN head ~ '^[a-z][a-z0-9]*([-.][a-z0-9]+)*/' THEN split_part(head, '/', 1) ELSE '' END,
    event_type
FROM (
    SELECT DISTINCT left(source, strpos(source, '/')) AS head, event_type FROM events
) AS found;
