-- What is there to be asked in SQL. These names, their columns and the columns' types stay what
-- they are from release to release; more columns may come, at the end. The tables below them
-- are the store's own.

CREATE VIEW log_events AS
SELECT
    position,
    source,
    CASE WHEN strpos(source, '/') > 0 THEN split_part(source, '/', 1) END AS actor_type,
    substr(source, strpos(source, '/') + 1) AS device,
    version,
    kind,
    event_type,
    event_data AS data,
    timestamp AS happened_at,
    recorded_at,
    id AS event_id,
    aggregate_id,
    correlation_id,
    causation_id,
    vector_clock,
    metadata
FROM events;

COMMENT ON VIEW log_events IS 'The log: one row an event, never changed, never deleted.';
COMMENT ON COLUMN log_events.position IS 'Where in the log: 1, 2, 3 ... in the order of commits, without a gap.';
COMMENT ON COLUMN log_events.source IS 'Whose event it is: the actor type and the name of the device, as in charger/c-17.';
COMMENT ON COLUMN log_events.actor_type IS 'What stands before the slash of the source; null where it has none.';
COMMENT ON COLUMN log_events.device IS 'What stands behind the slash of the source.';
COMMENT ON COLUMN log_events.version IS 'Of this source: 1, 2, 3 ... without a gap.';
COMMENT ON COLUMN log_events.kind IS 'Where it comes from: device, system or business.';
COMMENT ON COLUMN log_events.event_type IS 'What has happened, like session-started.';
COMMENT ON COLUMN log_events.data IS 'The fields of the event.';
COMMENT ON COLUMN log_events.happened_at IS 'When it happened, as the device or the driver says.';
COMMENT ON COLUMN log_events.recorded_at IS 'When it was committed, by the clock of the writer.';
COMMENT ON COLUMN log_events.event_id IS 'The id of the event; made from that of its command.';
COMMENT ON COLUMN log_events.aggregate_id IS 'The id of the source; the index to its events is by this and the version.';
COMMENT ON COLUMN log_events.correlation_id IS 'What it belongs to: the command that began it all, unless the caller said otherwise.';
COMMENT ON COLUMN log_events.causation_id IS 'What it follows from: its command, unless the caller said otherwise.';
COMMENT ON COLUMN log_events.vector_clock IS 'How many events of each node are in its past, itself included.';
COMMENT ON COLUMN log_events.metadata IS 'What came along with an event from outside; null for others.';

CREATE VIEW actor_snapshots AS
SELECT
    aggregate_id,
    (SELECT e.source FROM events e WHERE e.aggregate_id = s.aggregate_id AND e.version = 1) AS source,
    version,
    timestamp AS taken_at,
    CASE WHEN position('\x0a'::bytea IN data) > 0
        THEN convert_from(substring(data FROM position('\x0a'::bytea IN data) + 1), 'UTF8')
    END AS state,
    CASE WHEN position('\x0a'::bytea IN data) > 0
        THEN convert_from(substring(data FOR position('\x0a'::bytea IN data) - 1), 'UTF8')::bigint
    END AS snapshot_format
FROM snapshots s;

COMMENT ON VIEW actor_snapshots IS 'The last snapshot of each actor that has one: its state as it was after one of its versions, to be loaded faster. Not its present state.';
COMMENT ON COLUMN actor_snapshots.aggregate_id IS 'The id of the source.';
COMMENT ON COLUMN actor_snapshots.source IS 'Whose snapshot it is.';
COMMENT ON COLUMN actor_snapshots.version IS 'The state is the one after this version.';
COMMENT ON COLUMN actor_snapshots.taken_at IS 'When it was saved.';
COMMENT ON COLUMN actor_snapshots.state IS 'The state as text: JSON, which may also have NaN and Infinity, so a cast to jsonb can fail. Null for a source that no actor runs.';
COMMENT ON COLUMN actor_snapshots.snapshot_format IS 'Of the actor''s class at that time.';
