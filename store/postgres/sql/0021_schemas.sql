-- The newest schema version of the event types that the log has, or is about to have, of an actor
-- type, where that is not the first one: a host notes it before the first event of it, so that a
-- class which cannot read it decides nothing. Of the rows, the metadata says it.
CREATE TABLE event_schemas (
    actor_type     text    NOT NULL,
    event_type     text    NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 1),
    PRIMARY KEY (actor_type, event_type)
);

-- The line with which a snapshot begins has more than its format now: the digest of the schemas with which it
-- was made, behind a semicolon.
CREATE OR REPLACE VIEW actor_snapshots AS
SELECT
    aggregate_id,
    (SELECT e.source FROM events e WHERE e.aggregate_id = s.aggregate_id AND e.version = 1) AS source,
    version,
    timestamp AS taken_at,
    CASE WHEN position('\x0a'::bytea IN data) > 0
        THEN convert_from(substring(data FROM position('\x0a'::bytea IN data) + 1), 'UTF8')
    END AS state,
    CASE WHEN position('\x0a'::bytea IN data) > 0
        THEN substring(
            convert_from(substring(data FOR position('\x0a'::bytea IN data) - 1), 'UTF8') FROM '^[0-9]+'
        )::bigint
    END AS snapshot_format
FROM snapshots s;
