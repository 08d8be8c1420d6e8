-- A durable subscription may select by the kind of events, too.
ALTER TABLE subscriptions ADD COLUMN kinds text[] NOT NULL DEFAULT '{}';  -- none: all

CREATE OR REPLACE VIEW durable_subscriptions AS
SELECT
    name,
    event_types,
    sources,
    began,
    position,
    finished,
    encode(digest, 'hex') AS digest,
    opened_at,
    moved_at,
    kinds
FROM subscriptions;

COMMENT ON COLUMN durable_subscriptions.kinds IS 'The kinds of events that it selects (device, system, business); empty: all.';
