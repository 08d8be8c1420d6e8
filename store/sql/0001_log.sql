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
