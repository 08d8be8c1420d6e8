-- Which of the writer's appends moved its counter last. After a lost connection the writer
-- tells by it what happened: the number moves in the transaction of the rows.
ALTER TABLE epochs ADD COLUMN attempt bigint NOT NULL DEFAULT 0;

-- Every commit leaves a dead version of the row of each node and of the writer. They are few
-- and small, so cleaning up may be frequent and need not be gentle.
ALTER TABLE epochs SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- How far each durable subscription has come: the position up to which its effects are in the
-- log. It moves in their transaction, under the epoch of the same name.
CREATE TABLE checkpoints (
    name     text   PRIMARY KEY,
    position bigint NOT NULL
) WITH (
    fillfactor = 50,  -- as in epochs: every commit of a subscription updates its row
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- The fence of a commit: moves the counters of all concerned, each only in its present epoch,
-- and the writer's only from where it stands. Raises 'TB001', with the name of whoever was
-- replaced as its detail. Returns where the rows stand now.
--
-- Each row is looked for at the place where the caller last saw it, and by its name only if it
-- is not there. Behind a long snapshot (a dump, say) the dead versions of a row stay, and an
-- index leads to all of them: every commit would take longer than the one before.
CREATE FUNCTION move_counters(
    names text[], numbers bigint[], counters bigint[], olds bigint[], attempts bigint[],
    places tid[]
) RETURNS tid[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    place tid;
    found_at tid[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(names) LOOP
        UPDATE epochs SET counter = counters[i], attempt = attempts[i]
        WHERE ctid = places[i] AND name = names[i] AND epoch = numbers[i]
            AND (olds[i] IS NULL OR counter = olds[i])
        RETURNING ctid INTO place;
        IF NOT FOUND THEN
            UPDATE epochs SET counter = counters[i], attempt = attempts[i]
            WHERE name = names[i] AND epoch = numbers[i]
                AND (olds[i] IS NULL OR counter = olds[i])
            RETURNING ctid INTO place;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'an epoch is over' USING ERRCODE = 'TB001', DETAIL = names[i];
            END IF;
        END IF;
        found_at := found_at || place;
    END LOOP;
    RETURN found_at;
END
$$;

-- As in 0001, and behind that fence.
DROP FUNCTION append_events(
    text[], bigint[], bigint[], bigint[], uuid[], uuid[], bigint[], bigint[], timestamptz[],
    timestamptz, uuid[], uuid[], text[], text[], text[], text[], text[], text[]
);

CREATE FUNCTION append_events(
    names text[], numbers bigint[], counters bigint[], olds bigint[], attempts bigint[],
    places tid[],
    ids uuid[], aggregate_ids uuid[], versions bigint[], positions bigint[],
    timestamps timestamptz[], committed timestamptz,
    correlation_ids uuid[], causation_ids uuid[],
    kinds text[], event_types text[], sources text[],
    data text[], clocks text[], metadatas text[]
) RETURNS tid[] LANGUAGE plpgsql AS $$
DECLARE
    found_at tid[] := move_counters(names, numbers, counters, olds, attempts, places);
BEGIN
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
    RETURN found_at;
END
$$;
