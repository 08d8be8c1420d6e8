-- Durable subscriptions: what each selects, and how far it has come. A checkpoint moves in the
-- transaction of its effects, and only in the epoch of whoever opened the subscription last. With it
-- moves the receipt: how many events were finished, and a digest of their ids (store/receipts.py).
--
-- The table before this one had names and positions; nothing that a user could reach ever wrote to it.
DROP TABLE checkpoints;

CREATE TABLE subscriptions (
    name        text        PRIMARY KEY,
    epoch       bigint      NOT NULL,  -- drawn by whoever opened it last
    event_types text[]      NOT NULL,  -- patterns, in which * stands for any text; none: all
    sources     text[]      NOT NULL,
    began       bigint      NOT NULL,  -- after this position
    position    bigint      NOT NULL,
    finished    bigint      NOT NULL DEFAULT 0,
    digest      bytea       NOT NULL DEFAULT decode(repeat('00', 16), 'hex')
        CHECK (octet_length(digest) = 16),
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_at    timestamptz
) WITH (
    fillfactor = 50,  -- as in epochs: every commit of a subscription updates its row
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE VIEW durable_subscriptions AS
SELECT
    name,
    event_types,
    sources,
    began,
    position,
    finished,
    encode(digest, 'hex') AS digest,
    opened_at,
    moved_at
FROM subscriptions;

COMMENT ON VIEW durable_subscriptions IS 'The durable subscriptions: what each selects, and how far it has come.';
COMMENT ON COLUMN durable_subscriptions.name IS 'What it was called in subscribe(name=...).';
COMMENT ON COLUMN durable_subscriptions.event_types IS 'The patterns of event types that it selects; empty: all.';
COMMENT ON COLUMN durable_subscriptions.sources IS 'The patterns of sources that it selects; empty: all.';
COMMENT ON COLUMN durable_subscriptions.began IS 'The position after which it began.';
COMMENT ON COLUMN durable_subscriptions.position IS 'Its checkpoint: what it selects up to there is finished.';
COMMENT ON COLUMN durable_subscriptions.finished IS 'How many events it has finished.';
COMMENT ON COLUMN durable_subscriptions.digest IS 'Of the ids of those events, in whatever order (thornback verify).';
COMMENT ON COLUMN durable_subscriptions.opened_at IS 'When somebody began to work for it last.';
COMMENT ON COLUMN durable_subscriptions.moved_at IS 'When its checkpoint moved last; null: it never has.';
