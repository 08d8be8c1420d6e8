-- Which of the writer's appends moved its counter last. After a lost connection the writer
-- tells by it what happened: the number moves in the transaction of the rows.
ALTER TABLE epochs ADD COLUMN attempt bigint NOT NULL DEFAULT 0;

-- How far each durable subscription has come: the position up to which its effects are in the
-- log. It moves in their transaction, under the epoch of the same name.
CREATE TABLE checkpoints (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
) WITH (fillfactor = 50);  -- as in epochs: every commit of a subscription updates its row

-- As in 0001, and with the attempt.
DROP FUNCTION append_events(
    text[], bigint[], bigint[], bigint[], uuid[], uuid[], bigint[], bigint[], timestamptz[],
    timestamptz, uuid[], uuid[], text[], text[], text[], text[], text[], text[]
);

CREATE FUNCTION append_events(
    names text[], numbers bigint[], counters bigint[], olds bigint[], attempts bigint[],
    ids uuid[], aggregate_ids uuid[], versions bigint[], positions bigint[],
    timestamps timestamptz[], committed timestamptz,
    correlation_ids uuid[], causation_ids uuid[],
    kinds text[], event_types text[], sources text[],
    data text[], clocks text[], metadatas text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE epochs e SET counter = t.counter, attempt = t.attempt
    FROM unnest(names, numbers, counters, olds, attempts) t(name, epoch, counter, old, attempt)
    WHERE e.name = t.name AND e.epoch = t.epoch AND (t.old IS NULL OR e.counter = t.old);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(names) THEN
        RAISE EXCEPTION 'an epoch is over' USING ERRCODE = 'TB001';
    END IF;
    INSERT INTO events (
        id, aggregate_id, version, position, timestamp, recorded_at, correlation_id,
        causation_id, kind, event_type, source, event_data, vector_clock, metadata
    )
    SELECT r.id, r.aggregate_id, r.version, r.position, r.timestamp, committed,
        r.correlation_id, r.causation_id, r.kind, r.event_type, r.source,
        r.data::jsonb, r.clock::jsonb, r.metadata::jsonb
    FROM unnest(
        ids, aggregate_ids, versions, positions, timestamps, correlation_ids, causation_ids,
        kinds, event_types, sources, data, clocks, metadatas
    ) r(
        id, aggregate_id, version, position, timestamp, correlation_id, causation_id,
        kind, event_type, source, data, clock, metadata
    );
END
$$;
