-- What was erased: a row for each event actor-erased whose work is done. Whoever restores an older
-- backup finds here, in the newer one, what is to be erased in it again.
CREATE TABLE erasures (
    position bigint      PRIMARY KEY,  -- of that event
    source   text        NOT NULL,
    receipt  jsonb       NOT NULL,     -- store/erasures.py
    done_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE VIEW erased_actors AS
SELECT source, position, receipt, done_at FROM erasures;

COMMENT ON VIEW erased_actors IS 'The actors that were erased: one row an erasure.';
COMMENT ON COLUMN erased_actors.source IS 'The actor.';
COMMENT ON COLUMN erased_actors.position IS 'Of its event actor-erased.';
COMMENT ON COLUMN erased_actors.receipt IS 'What was erased; thornback verify --receipt checks it.';
COMMENT ON COLUMN erased_actors.done_at IS 'When that was done last.';

COMMENT ON VIEW log_events IS 'The log: one row an event, never deleted, and never changed but where its actor was erased.';
COMMENT ON COLUMN log_events.data IS 'The fields of the event; {"$erased": true} where its actor was erased.';
