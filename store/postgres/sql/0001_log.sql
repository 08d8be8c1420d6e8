-- The log, snapshots, and epochs.

CREATE TABLE events (
    -- Fixed-size columns first: Postgres then pads nothing between them.
    id             uuid        NOT NULL,
    aggregate_id   uuid        NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    position       bigint      NOT NULL CHECK (position > 0),
    timestamp      timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    correlation_id uuid,
    causation_id   uuid,
    kind           text        NOT NULL,
    event_type     text        NOT NULL,
    source         text        NOT NULL,
    event_data     jsonb       NOT NULL,
    vector_clock   jsonb       NOT NULL,
    metadata       jsonb,
    PRIMARY KEY (id),
    UNIQUE (aggregate_id, version)
);

-- Readers follow the log by position; unique, so that the database itself refuses a
-- second writer's idea of a position.
CREATE UNIQUE INDEX events_position_idx ON events (position);

-- BRIN: the log arrives roughly in the order in which things happened, and the index
-- costs next to nothing per row (docs/performance.md has the measurement).
CREATE INDEX events_timestamp_idx ON events USING brin (timestamp);

-- An insert-only table is vacuumed rarely; its pages never hold dead rows to reuse.
ALTER TABLE events SET (autovacuum_vacuum_insert_scale_factor = 0.5);

CREATE TABLE snapshots (
    aggregate_id uuid        PRIMARY KEY,
    version      bigint      NOT NULL,
    data         bytea       NOT NULL,
    timestamp    timestamptz NOT NULL DEFAULT now()
);

-- One row a node, and one for the writer. The epoch is the incarnation that may append;
-- the counter is the last vector clock tick (a node) or position (the writer) committed.
CREATE TABLE epochs (
    name    text   PRIMARY KEY,
    epoch   bigint NOT NULL,
    counter bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);  -- room for in-page updates: every commit updates its rows

-- A small append in one round trip: fence, rows and commit. A large one uses COPY, whose
-- four round trips it does not notice. Raises 'TB001' when a node's epoch is over.
CREATE FUNCTION append_events(
    names text[], numbers bigint[], counters bigint[], olds bigint[],
    ids uuid[], aggregate_ids uuid[], versions bigint[], positions bigint[],
    timestamps timestamptz[], committed timestamptz,
    correlation_ids uuid[], causation_ids uuid[],
    kinds text[], event_types text[], sources text[],
    data text[], clocks text[], metadatas text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE epochs e SET counter = t.counter
    FROM unnest(names, numbers, counters, olds) t(name, epoch, counter, old)
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
