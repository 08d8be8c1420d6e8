-- Dead letters of stream programs: events that one could not process, and those that queue behind them, of
-- a key or of a source. They come and go in the transaction of the program's checkpoints.
CREATE TABLE dead_letters (
    program   text        NOT NULL,
    by_source boolean     NOT NULL,  -- is a source parked? Otherwise a key of the program
    name      text        COLLATE "C" NOT NULL,  -- of the key or the source
    position  bigint      NOT NULL,
    event_id  uuid        NOT NULL,
    slots     integer     NOT NULL,  -- bit n: slot n of the program owes the event
    watermark bigint      NOT NULL,  -- that of the program before the event, Unix microseconds
    reason    text,  -- null: it queues behind one that has a reason
    frames    text        NOT NULL DEFAULT '',  -- where its code failed, a line each
    tries     integer     NOT NULL DEFAULT 0,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (program, by_source, name, position)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- What is parked has at least one letter with a reason: a worker that begins reads these alone.
CREATE INDEX dead_letters_reason_idx ON dead_letters (program, by_source, name, position)
    WHERE reason IS NOT NULL;

CREATE VIEW parked_events AS
SELECT
    d.program,
    CASE WHEN d.by_source THEN NULL ELSE d.name END AS key,
    d.position,
    d.event_id,
    e.event_type,
    e.source,
    d.reason,
    d.frames,
    d.tries,
    d.parked_at
FROM dead_letters d LEFT JOIN events e ON e.id = d.event_id;

COMMENT ON VIEW parked_events IS 'The dead letters of stream programs: events that wait, and why.';
COMMENT ON COLUMN parked_events.program IS 'The program that could not process the event.';
COMMENT ON COLUMN parked_events.key IS 'The key of the program that is parked; null: the source of the event is.';
COMMENT ON COLUMN parked_events.position IS 'Of the event in the log.';
COMMENT ON COLUMN parked_events.event_id IS 'The event.';
COMMENT ON COLUMN parked_events.event_type IS 'Its type.';
COMMENT ON COLUMN parked_events.source IS 'Its source.';
COMMENT ON COLUMN parked_events.reason IS 'What the program failed with; null: the event queues behind another one.';
COMMENT ON COLUMN parked_events.frames IS 'Where in its code that was, a line each.';
COMMENT ON COLUMN parked_events.tries IS 'How often it was tried.';
COMMENT ON COLUMN parked_events.parked_at IS 'When it was parked.';
