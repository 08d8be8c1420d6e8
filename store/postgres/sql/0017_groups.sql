-- Groups: durable subscriptions that several programs share by aggregate. A slot of a group says who of its
-- members has it; its members say, again and again, that they are there.
ALTER TABLE subscriptions ADD COLUMN member bigint;  -- null: of no group; 0: nobody's

CREATE TABLE group_members (
    name      text        NOT NULL,  -- of the group
    member    bigint      NOT NULL,  -- drawn by the program that joined
    sign      bigint      NOT NULL,  -- its last one: another number each time
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- for people alone
    PRIMARY KEY (name, member)
) WITH (
    fillfactor = 50,  -- as in epochs: each member updates its row about once a second
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

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
    kinds,
    member
FROM subscriptions;

COMMENT ON COLUMN durable_subscriptions.member IS 'Of a slot of a group: the member that has it, 0 for nobody; null: it is of no group.';
