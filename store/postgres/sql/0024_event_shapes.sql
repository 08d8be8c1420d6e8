-- Which fields events of a type were written with, of an actor type and in a schema version, and as what: a
-- host notes them before the first event that has them. A class that does not read them any more, and has
-- not counted its schema_version up, is found by that when it is registered.
CREATE TABLE event_shapes (
    actor_type     text    NOT NULL,
    event_type     text    NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 0),
    fields         jsonb   NOT NULL,  -- the path of each, with names of JSON's types (actors/event_shape.py)
    PRIMARY KEY (actor_type, event_type, schema_version)
);
