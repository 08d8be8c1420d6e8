-- Timers that are still to fire, as they follow from the log: whoever fires them changes this table in the
-- transaction of its checkpoint. A row is looked at when its time has come, and no row before.
CREATE TABLE timers (
    source         text   COLLATE "C" NOT NULL,  -- its actor
    key            text   COLLATE "C" NOT NULL,
    timer          uuid   NOT NULL,  -- another timer of this key has another one
    event_id       uuid   NOT NULL,  -- of the event that says that it is set
    correlation_id uuid,
    occurrence     bigint NOT NULL,  -- 0, 1, 2 ... of one with every
    due            bigint NOT NULL,  -- Unix microseconds
    look           bigint NOT NULL,  -- the same, or later, where firing it failed
    message_type   text   NOT NULL,
    message        bytea  NOT NULL,  -- JSON
    PRIMARY KEY (source, key)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX timers_look_idx ON timers (look, source, key);

-- Those that were put off, for when the clock by which they were is found to have been wrong.
CREATE INDEX timers_put_off_idx ON timers (look) WHERE look > due;

CREATE VIEW pending_timers AS
SELECT
    source,
    key,
    to_timestamp(due / 1000000.0) AS due_at,
    occurrence,
    message_type,
    convert_from(message, 'UTF8')::jsonb AS message,
    event_id,
    CASE WHEN look > due THEN to_timestamp(look / 1000000.0) END AS tried_again_at
FROM timers;

COMMENT ON VIEW pending_timers IS 'The timers of actors that are still to fire.';
COMMENT ON COLUMN pending_timers.source IS 'The actor.';
COMMENT ON COLUMN pending_timers.key IS 'Which of its timers.';
COMMENT ON COLUMN pending_timers.due_at IS 'When it is to fire.';
COMMENT ON COLUMN pending_timers.occurrence IS 'Of one that fires again and again: which time, from 0.';
COMMENT ON COLUMN pending_timers.message_type IS 'The type of the message that its actor will have.';
COMMENT ON COLUMN pending_timers.message IS 'The data of that.';
COMMENT ON COLUMN pending_timers.event_id IS 'The event that says that it was set.';
COMMENT ON COLUMN pending_timers.tried_again_at IS 'When it will be tried again, where firing it failed; otherwise null.';

-- A snapshot begins with a line that has its format, and behind a blank the actor's pending timers, if any.
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
        THEN split_part(
            convert_from(substring(data FOR position('\x0a'::bytea IN data) - 1), 'UTF8'), ' ', 1
        )::bigint
    END AS snapshot_format
FROM snapshots s;
