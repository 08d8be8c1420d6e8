-- The newest schema version of the event types that the log has, or is about to have, of an actor
-- type, where that is not the first one: a host notes it before the first event of it, so that a
-- class which cannot read it decides nothing. Of the rows, the metadata says it.
CREATE TABLE event_schemas (
    actor_type     text    NOT NULL,
    event_type     text    NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 1),
    PRIMARY KEY (actor_type, event_type)
);
