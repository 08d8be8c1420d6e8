-- What the event store asks, each under its name (store/postgres/queries.py). {words} stand
-- for parts that are put in: COPY takes no parameters.

-- name: open_epoch
-- A new incarnation: appends of every older one fail at the fence from now on. None for a process
-- of a system that has lost its claim on the database; who names no system is asked for no claim.
INSERT INTO epochs AS e (name, epoch, holder)
SELECT $1, 1, $2
WHERE $3::text IS NULL
    OR EXISTS (SELECT FROM claim WHERE claim.holder = $3 FOR SHARE)
    OR NOT EXISTS (SELECT FROM claim)
ON CONFLICT (name) DO UPDATE SET epoch = e.epoch + 1, holder = excluded.holder
RETURNING epoch, counter, attempt, holder;

-- name: nodes
-- Dedicated hosts are many, and those of one actor type are one node.
SELECT DISTINCT split_part(name, '/', 1) AS node FROM epochs;

-- name: knows_claims
-- Has the schema the table of claims?
SELECT to_regclass('claim') IS NOT NULL AS knows;

-- name: find_claim
-- Who has the database, and its signs of life: the last beat, and how far the log has come. The lock
-- keeps it as it is found until whoever looks has judged. How long ago the beat was is for people.
SELECT holder, system, namespace, place, traces, claimed_at, seen_at AS beat,
    coalesce((SELECT counter FROM epochs WHERE name = 'writer'), 0) AS head,
    greatest(extract(epoch FROM clock_timestamp() - seen_at), 0)::float8 AS silent_s,
    given_up_at IS NOT NULL AS given_up
FROM claim
FOR UPDATE;

-- name: claim
INSERT INTO claim (holder, system, namespace, place, traces)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (only_one) DO UPDATE
SET holder = excluded.holder, system = excluded.system, namespace = excluded.namespace,
    place = excluded.place, traces = excluded.traces, seen_at = clock_timestamp(), given_up_at = NULL,
    claimed_at = CASE WHEN claim.holder = excluded.holder AND claim.given_up_at IS NULL
        THEN claim.claimed_at ELSE now() END;

-- name: note_partition
INSERT INTO log_partition (number, partitions) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: partition_of_log
SELECT number, partitions FROM log_partition;

-- name: known_partition
SELECT log FROM partition_databases WHERE number = $1;

-- name: know_partition
INSERT INTO partition_databases (number, log) VALUES ($1, $2)
ON CONFLICT (number) DO UPDATE SET log = excluded.log WHERE partition_databases.log IS NULL;

-- name: log_born
SELECT applied_at FROM schema_migrations ORDER BY number LIMIT 1;

-- name: renew_claim
-- One that was given up is not renewed: whoever finds that is to claim the database again, or to end.
UPDATE claim SET seen_at = clock_timestamp() WHERE holder = $1 AND given_up_at IS NULL RETURNING holder;

-- name: give_up_claim
UPDATE claim SET given_up_at = clock_timestamp() WHERE holder = $1 AND given_up_at IS NULL;

-- name: make_subscription
INSERT INTO subscriptions (name, epoch, event_types, sources, kinds, began, position)
VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING;

-- name: open_subscription
-- A new incarnation in the place of the one that was seen, or once more the same one: whoever had it
-- can move the checkpoint no more.
UPDATE subscriptions SET epoch = $3, opened_at = clock_timestamp()
WHERE name = $1 AND epoch IN ($2, $3)
RETURNING *;

-- name: see_subscription
SELECT * FROM subscriptions WHERE name = $1;

-- name: subscriptions
-- And how long ago the member was heard of that has it, of a slot of a group.
SELECT s.*, extract(epoch FROM clock_timestamp() - m.seen_at)::float8 AS silent_s
FROM subscriptions AS s
LEFT JOIN group_members AS m ON m.name = split_part(s.name, '/', 1) AND m.member = s.member
ORDER BY s.name COLLATE "C";

-- name: drop_subscription
DELETE FROM subscriptions WHERE name = $1 RETURNING name;

-- name: move_checkpoints
-- Whoever is missing in the result was replaced, or has moved further already: a move that was given
-- up for lost may yet come about.
WITH held AS MATERIALIZED (
    SELECT name FROM subscriptions WHERE name = ANY ($1) ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s
SET position = t.position, finished = t.finished, digest = t.digest, moved_at = clock_timestamp(),
    watermark = coalesce(t.watermark, s.watermark)
FROM held, unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[])
    AS t (name, epoch, position, finished, digest, watermark)
WHERE s.name = held.name AND s.name = t.name AND s.epoch = t.epoch AND s.position <= t.position
RETURNING s.name, s.epoch;

-- name: make_group
-- Its slots, which nobody has yet.
INSERT INTO subscriptions (name, epoch, event_types, sources, kinds, began, position, member)
SELECT slot, -1, $2, $3, $4, $5, $5, 0 FROM unnest($1::text[]) AS slot
ON CONFLICT DO NOTHING;

-- name: group_slots
SELECT * FROM subscriptions WHERE starts_with(name, $1 || '/') AND member IS NOT NULL
ORDER BY length(name), name;

-- name: hear_member
-- A sign of life: of one who joins, or of one who is there. Of a group that was dropped nobody is.
INSERT INTO group_members (name, member, sign)
SELECT $1, $2, $3
WHERE EXISTS (SELECT FROM subscriptions WHERE name = $1 || '/0' AND member IS NOT NULL)
ON CONFLICT (name, member) DO UPDATE SET sign = excluded.sign, seen_at = clock_timestamp();

-- name: group_members
SELECT member, sign FROM group_members WHERE name = $1 ORDER BY joined_at, member;

-- name: take_slots
-- Those that are still as they were seen, by whoever is a member; or once more those that he has.
WITH held AS MATERIALIZED (
    SELECT name FROM subscriptions WHERE name = ANY ($1) ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s SET epoch = $5, member = $4, opened_at = clock_timestamp()
FROM held, unnest($1::text[], $2::bigint[]) AS seen (name, epoch)
WHERE s.name = held.name AND s.name = seen.name AND s.epoch IN (seen.epoch, $5)
    AND s.member IS NOT NULL
    AND EXISTS (SELECT FROM group_members AS m WHERE m.name = $3 AND m.member = $4)
RETURNING s.*;

-- name: free_slots
WITH held AS MATERIALIZED (
    SELECT name FROM subscriptions WHERE name = ANY ($1) ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s SET epoch = -1 - s.epoch, member = 0
FROM held, unnest($1::text[], $2::bigint[]) AS t (name, epoch)
WHERE s.name = held.name AND s.name = t.name AND s.epoch = t.epoch AND s.member <> 0;

-- name: leave_group
WITH gone AS (
    DELETE FROM group_members WHERE name = $1 AND member = $2
), held AS MATERIALIZED (
    SELECT name FROM subscriptions WHERE starts_with(name, $1 || '/') AND member = $2
    ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s SET epoch = -1 - s.epoch, member = 0
FROM held WHERE s.name = held.name AND s.member = $2;

-- name: expel_member
-- Whoever was not heard of since.
DELETE FROM group_members WHERE name = $1 AND member = $2 AND sign = $3 RETURNING member;

-- name: load_states
SELECT key, data FROM program_states WHERE program = $1 AND key = ANY ($2);

-- name: due_states
SELECT key, due FROM program_states
WHERE program = $1 AND due IS NOT NULL AND key > $2
ORDER BY key LIMIT $3;

-- name: keep_states
INSERT INTO program_states (program, key, data, due)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[])
ON CONFLICT (program, key) DO UPDATE SET data = excluded.data, due = excluded.due;

-- name: forget_states
DELETE FROM program_states AS s USING unnest($1::text[], $2::text[]) AS t (program, key)
WHERE s.program = t.program AND s.key = t.key;

-- name: drop_program
WITH slots AS (
    DELETE FROM subscriptions WHERE starts_with(name, $1 || '/') RETURNING 1
), members AS (
    DELETE FROM group_members WHERE name = $1
), states AS (
    DELETE FROM program_states WHERE program = $1 RETURNING 1
), letters AS (
    DELETE FROM dead_letters WHERE program = $1 RETURNING 1
), merge AS (
    DELETE FROM merges WHERE program = $1
)
SELECT (SELECT count(*) FROM slots) + (SELECT count(*) FROM states) + (SELECT count(*) FROM letters)
    AS dropped;

-- name: merge_of
SELECT * FROM merges WHERE program = $1;

-- name: merges
SELECT * FROM merges ORDER BY program;

-- name: make_merge
INSERT INTO merges (program, began) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: extend_merge
-- Where it ends before the first of these: whoever saw another end is to look again.
INSERT INTO merge_legs (merge, after, partition, log_after, length, merged, newest, heard)
SELECT $1, t.* FROM unnest(
    $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]
) AS t (after, partition, log_after, length, merged, newest, heard)
WHERE ($3::bigint[])[1] = coalesce(
    (SELECT after + length FROM merge_legs WHERE merge = $1 ORDER BY after DESC LIMIT 1), $2
)
RETURNING after;

-- name: merge_legs
-- Those that end behind a place: the one in which that is, and those that follow.
SELECT * FROM merge_legs
WHERE merge = $1 AND after + length > $2 AND after >= coalesce(
    (SELECT after FROM merge_legs WHERE merge = $1 AND after <= $2 ORDER BY after DESC LIMIT 1), 0
)
ORDER BY after LIMIT $3;

-- name: last_legs
-- Of each log the last one that begins before a place.
SELECT leg.* FROM unnest($2::smallint[]) AS log (number)
CROSS JOIN LATERAL (
    SELECT * FROM merge_legs WHERE merge = $1 AND partition = log.number AND after < $3
    ORDER BY after DESC LIMIT 1
) AS leg;

-- name: places_in_merge
-- Of positions of one log those that are in it.
SELECT log.position, leg.after + log.position - leg.log_after AS place
FROM unnest($3::bigint[]) AS log (position)
CROSS JOIN LATERAL (
    SELECT * FROM merge_legs WHERE merge = $1 AND partition = $2 AND log_after < log.position
    ORDER BY log_after DESC LIMIT 1
) AS leg
WHERE log.position <= leg.log_after + leg.length;

-- name: keep_letters
-- Several workers may owe one event of a source, each with slots of its own.
INSERT INTO dead_letters AS d
    (program, by_source, name, position, event_id, slots, watermark, reason, frames, tries)
SELECT * FROM unnest(
    $1::text[], $2::boolean[], $3::text[], $4::bigint[], $5::uuid[], $6::integer[], $7::bigint[],
    $8::text[], $9::text[], $10::integer[]
)
ON CONFLICT (program, by_source, name, position) DO UPDATE SET
    slots = d.slots | excluded.slots,
    reason = coalesce(excluded.reason, d.reason),
    frames = CASE WHEN excluded.reason IS NULL THEN d.frames ELSE excluded.frames END,
    tries = greatest(d.tries, excluded.tries);

-- name: forget_letters
-- Those that no other slot owes.
DELETE FROM dead_letters AS d
USING unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[], $5::integer[])
    AS t (program, by_source, name, position, slots)
WHERE (d.program, d.by_source, d.name, d.position) = (t.program, t.by_source, t.name, t.position)
    AND d.slots & ~t.slots = 0;

-- name: pay_letters
UPDATE dead_letters AS d SET slots = d.slots & ~t.slots
FROM unnest($1::text[], $2::boolean[], $3::text[], $4::bigint[], $5::integer[])
    AS t (program, by_source, name, position, slots)
WHERE (d.program, d.by_source, d.name, d.position) = (t.program, t.by_source, t.name, t.position);

-- name: parked_heads
SELECT by_source, name, position, slots FROM dead_letters
WHERE program = $1 AND reason IS NOT NULL
ORDER BY by_source, name, position;

-- name: dead_letters
SELECT * FROM dead_letters
WHERE program = $1 AND by_source = $2 AND name = $3 AND position > $4
ORDER BY position LIMIT $5;

-- name: parked_queues
SELECT first.*, (
    SELECT count(*) FROM dead_letters AS d
    WHERE (d.program, d.by_source, d.name) = (first.program, first.by_source, first.name)
) AS letters
FROM (
    SELECT DISTINCT ON (program COLLATE "C", by_source, name) * FROM dead_letters
    WHERE reason IS NOT NULL AND ($1::text IS NULL OR program = $1)
    ORDER BY program COLLATE "C", by_source, name, position
) AS first
ORDER BY first.program COLLATE "C", first.by_source, first.name;

-- name: reopen_slots
WITH held AS MATERIALIZED (
    SELECT name FROM subscriptions WHERE starts_with(name, $1 || '/')
    ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s SET epoch = $2 FROM held WHERE s.name = held.name;

-- name: any_letters
SELECT EXISTS (
    SELECT FROM dead_letters
    WHERE program = $1 AND ($2::boolean IS NULL OR by_source = $2 AND name = $3)
) AS any;

-- name: rename_letters
UPDATE dead_letters SET program = $2 WHERE program = $1;

-- name: drop_letters
DELETE FROM dead_letters
WHERE program = $1 AND ($2::boolean IS NULL OR by_source = $2 AND name = $3) RETURNING 1;

-- name: last_versions
-- The last event of each, by the unique index on aggregates and versions.
SELECT a.id, last.version
FROM unnest($1::uuid[]) AS a (id)
CROSS JOIN LATERAL (
    SELECT version FROM events WHERE aggregate_id = a.id ORDER BY version DESC LIMIT 1
) AS last;

-- name: recount
-- The receipt of what is selected after one position and up to another: store/receipts.py adds up
-- the same numbers.
SELECT count(*) AS count,
    coalesce(sum(('x' || encode(substr(hash, 1, 8), 'hex'))::bit(64)::bigint::numeric), 0) AS high,
    coalesce(sum(('x' || encode(substr(hash, 9, 8), 'hex'))::bit(64)::bigint::numeric), 0) AS low
FROM (
    SELECT sha256(uuid_send(id)) AS hash FROM events
    WHERE position > $1 AND position <= $2 {selected}
) AS finished;

-- name: rows_between
-- The log by position, less what is not selected.
SELECT {columns} FROM events
WHERE position > {after} AND position <= {through} {selected}
ORDER BY position;

-- name: rows_of_aggregates
-- Many aggregates, each above its version, one after another in the order in which they are
-- named. Each is looked up by itself: a join, or one order over all, would tempt the planner
-- into reading the whole table, and would have nothing to show before it was through.
SELECT {columns}
FROM unnest({aggregates}::uuid[], {versions}::bigint[]) AS wanted (aggregate, after),
    LATERAL (
        SELECT * FROM events
        WHERE aggregate_id = wanted.aggregate AND version > wanted.after
        ORDER BY version
    ) AS found;

-- name: rows_of_history
-- One aggregate above a version, so many rows.
SELECT {columns} FROM events
WHERE aggregate_id = {aggregate}::uuid AND version > {after}
ORDER BY version LIMIT {limit};

-- name: decided_types
-- The actor types that the log has, each with its event types, and the class that decides it.
SELECT e.actor_type, t.class, array_agg(e.event_type ORDER BY e.event_type) AS event_types
FROM event_types e LEFT JOIN actor_types t USING (actor_type)
WHERE e.actor_type <> '' GROUP BY e.actor_type, t.class ORDER BY e.actor_type;

-- name: newer_schemas
-- Of which event types there are newer schemas than the first one, and which.
SELECT actor_type, event_type, schema_version FROM event_schemas;

-- name: count_sources
-- How many sources there are from one text on up to another one.
SELECT count(*) FROM events
WHERE version = 1 AND source COLLATE "C" >= $1 AND source COLLATE "C" < $2;

-- name: sample_of_sources
-- So many of them, from all over the alphabet: always the same ones for one seed.
SELECT source FROM events
WHERE version = 1 AND source COLLATE "C" >= $1 AND source COLLATE "C" < $2
ORDER BY hashtextextended(source, $3), source LIMIT $4;

-- name: sources
-- The sources from one text on up to another one, and behind a third, so many, each with its last
-- event: of the index of first events, and from there to the end of each one's own.
SELECT first.source, last.version, last.event_type,
    (extract(epoch FROM last.recorded_at) * 1000000)::bigint AS recorded_us
FROM events AS first, LATERAL (
    SELECT e.version, e.event_type, e.recorded_at FROM events e
    WHERE e.aggregate_id = first.aggregate_id ORDER BY e.version DESC LIMIT 1
) AS last
WHERE first.version = 1 AND first.source COLLATE "C" >= $1 AND first.source COLLATE "C" < $2
    AND first.source COLLATE "C" > $3
ORDER BY first.source COLLATE "C" LIMIT $4;

-- name: count_types
-- A stretch of the log by actor type and event type.
SELECT
    CASE WHEN strpos(source, '/') > 0 THEN split_part(source, '/', 1) ELSE '' END AS actor_type,
    event_type,
    count(*) AS events,
    count(*) FILTER (WHERE version = 1) AS newcomers,
    max(position) AS position,
    (extract(epoch FROM max(recorded_at)) * 1000000)::bigint AS recorded_us
FROM events
WHERE position > $1 AND position <= $2 AND starts_with(source, $3)
GROUP BY 1, 2;

-- name: rows_of_ids
SELECT {columns} FROM events WHERE id = ANY ({ids}::uuid[]);

-- name: find_ids
SELECT id, aggregate_id FROM events WHERE id = ANY ($1::uuid[]);

-- name: rows_of_causes
-- The events that follow from one of these, so many, by position: of the index of causes, and the first
-- ones of commands of these ids by their own.
SELECT {columns} FROM (
    SELECT found.* FROM unnest({causes}::uuid[]) AS cause (id), LATERAL (
        SELECT * FROM events
        WHERE causation_id = cause.id AND causation_id IS DISTINCT FROM correlation_id
        ORDER BY position LIMIT {limit}
    ) AS found
    UNION ALL
    SELECT * FROM events
    WHERE id = ANY ({firsts}::uuid[]) AND causation_id = correlation_id
        AND causation_id = ANY ({causes}::uuid[])
) AS events
ORDER BY position LIMIT {limit};

-- name: rows_of_correlation
-- The events of one correlation, so many, by position: of its index, and those of the command of that id,
-- which follow on one another in their source.
SELECT {columns} FROM (
    (
        SELECT * FROM events
        WHERE correlation_id = {correlation}::uuid AND causation_id IS DISTINCT FROM correlation_id
        ORDER BY position LIMIT {limit}
    )
    UNION ALL
    SELECT found.* FROM events AS first, LATERAL (
        SELECT * FROM events
        WHERE aggregate_id = first.aggregate_id
            AND version >= first.version AND version < first.version + {limit}
            AND causation_id = correlation_id AND correlation_id = {correlation}::uuid
    ) AS found
    WHERE first.id = {first}::uuid
        AND first.causation_id = first.correlation_id AND first.correlation_id = {correlation}::uuid
) AS events
ORDER BY position LIMIT {limit};

-- name: type_records
-- Which class decides each of these actor types, and which event types the log has of it; of which
-- of these it has newer schemas than the first one, and which; with which fields they were written.
SELECT wanted.name, t.class, ARRAY(
    SELECT e.event_type FROM event_types e WHERE e.actor_type = wanted.name
) AS event_types, ARRAY(
    SELECT s.event_type FROM event_schemas s
    WHERE s.actor_type = wanted.name ORDER BY s.event_type
) AS newer, ARRAY(
    SELECT s.schema_version FROM event_schemas s
    WHERE s.actor_type = wanted.name ORDER BY s.event_type
) AS schemas, (
    SELECT coalesce(jsonb_agg(jsonb_build_array(f.event_type, f.schema_version, f.fields)), '[]')::text
    FROM event_shapes f WHERE f.actor_type = wanted.name
) AS shapes
FROM unnest($1::text[]) AS wanted (name) LEFT JOIN actor_types t ON t.actor_type = wanted.name;

-- name: record_deciding_classes
-- Each class decides its type from now on, where none does, or one that it says it replaces.
INSERT INTO actor_types AS t (actor_type, class)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (actor_type) DO UPDATE SET class = excluded.class
WHERE (t.actor_type, t.class) IN (SELECT * FROM unnest($3::text[], $4::text[]));

-- name: note_event_types
INSERT INTO event_types (actor_type, event_type)
SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING;

-- name: note_event_schemas
INSERT INTO event_schemas AS s (actor_type, event_type, schema_version)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[])
ON CONFLICT (actor_type, event_type) DO UPDATE SET schema_version = excluded.schema_version
WHERE s.schema_version < excluded.schema_version;

-- name: note_event_shapes
-- A field that is known stays as it is: what was written first is there to be read.
INSERT INTO event_shapes AS s (actor_type, event_type, schema_version, fields)
SELECT n.actor_type, n.event_type, n.schema_version, n.fields::jsonb
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[])
    AS n (actor_type, event_type, schema_version, fields)
ON CONFLICT (actor_type, event_type, schema_version) DO UPDATE SET fields = excluded.fields || s.fields
WHERE excluded.fields || s.fields <> s.fields;

-- name: save_snapshots
-- Each unless a newer one of its aggregate is there already. One of the same version may be of
-- another state, and makes way; what marks an erasure does not, for one that comes late.
INSERT INTO snapshots AS s (aggregate_id, version, data)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[])
ON CONFLICT (aggregate_id) DO UPDATE
SET version = excluded.version, data = excluded.data, timestamp = now()
WHERE s.version < excluded.version OR (s.version = excluded.version AND s.data <> $4);

-- name: load_snapshots
SELECT aggregate_id, version, data FROM snapshots WHERE aggregate_id = ANY ($1::uuid[]);

-- name: see_shards
-- Behind whoever is about to change it.
SELECT version, hosts, dealt_to FROM shard_table FOR SHARE;

-- name: hold_shards
SELECT version, hosts, dealt_to FROM shard_table FOR UPDATE;

-- name: make_shards
INSERT INTO shard_table (version, hosts, dealt_to) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: keep_shards
UPDATE shard_table SET version = $1, hosts = $2, dealt_to = $3;

-- name: end_epoch
-- Whoever has it goes on in the next one, unless somebody else has begun that.
UPDATE epochs SET epoch = epoch + 1, attempt = $3 WHERE name = $1 AND epoch = $2
RETURNING epoch AS number, counter, attempt, holder;

-- name: ended_epoch
-- Was it ended by this very attempt? The next commit of that node forgets which it was.
SELECT epoch AS number, counter, attempt, holder FROM epochs
WHERE name = $1 AND epoch = $2 + 1 AND attempt = $3;

-- name: open_tally
-- The one of this launch; those of others go.
WITH gone AS (
    DELETE FROM tallies WHERE launch <> $1
)
INSERT INTO tallies AS t (launch, through)
VALUES ($1, coalesce((SELECT counter FROM epochs WHERE name = 'writer'), 0))
ON CONFLICT (launch) DO UPDATE SET launch = excluded.launch
RETURNING through, by_type::text, by_node::text;

-- name: save_tally
-- Of a launch that is over there is none any more.
UPDATE tallies SET through = $2, by_type = $3::text::jsonb, by_node = $4::text::jsonb
WHERE launch = $1 AND through < $2;

-- name: begin_session
-- A server that waits for a client that is gone holds its locks: it is to find out. Settings
-- that the server does not know yet are left out.
SELECT set_config(wanted.name, wanted.value, false)
FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
WHERE wanted.name IN (SELECT name FROM pg_settings);

-- name: begin_migration
-- The same for one transaction alone.
SELECT set_config(wanted.name, wanted.value, true)
FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
WHERE wanted.name IN (SELECT name FROM pg_settings);

-- name: add_token
INSERT INTO tokens (id, name, hash, scopes, prefix, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
RETURNING id, name, scopes, prefix, created_at, expires_at, used_at, revoked_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS live;

-- name: live_tokens
-- Whether one has expired is for the clock of the database to say.
SELECT id, hash, scopes, prefix FROM tokens
WHERE id = ANY ($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: all_tokens
SELECT id, name, scopes, prefix, created_at, expires_at, used_at, revoked_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS live
FROM tokens ORDER BY created_at, id;

-- name: any_live_token
SELECT EXISTS (
    SELECT FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
);

-- name: revoke_token
-- An id is of one token for ever; a name is of the one that is not revoked.
UPDATE tokens SET revoked_at = coalesce(revoked_at, now())
WHERE id = $1 OR (name = $1 AND revoked_at IS NULL AND NOT EXISTS (SELECT FROM tokens WHERE id = $1))
RETURNING id, name, scopes, prefix, created_at, expires_at, used_at, revoked_at,
    revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AS live;

-- name: note_used_tokens
-- Many gateways may say so: once a minute is enough.
UPDATE tokens SET used_at = now()
WHERE id = ANY ($1) AND (used_at IS NULL OR used_at < now() - interval '1 minute');

-- name: lock_projections
-- One at a time makes tables, drops them, or swaps them.
SELECT pg_advisory_xact_lock(hashtext('thornback projections'));

-- name: projection
SELECT program, number, columns::text FROM projection_tables.known WHERE program = $1;

-- name: projections
SELECT program, number, columns::text FROM projection_tables.known ORDER BY program COLLATE "C";

-- name: make_projection
INSERT INTO projection_tables.known (program, columns) VALUES ($1, $2::text::jsonb) RETURNING number;

-- name: forget_projection
DELETE FROM projection_tables.known WHERE program = $1 RETURNING number;

-- name: rename_projection
UPDATE projection_tables.known SET program = $2 WHERE program = $1;

-- name: hold_slots
SELECT name, position FROM subscriptions WHERE starts_with(name, $1 || '/') ORDER BY name FOR UPDATE;

-- name: see_slots
SELECT name, position FROM subscriptions WHERE starts_with(name, $1 || '/');

-- name: reached
SELECT CASE WHEN count(*) = $2 THEN min(position) ELSE -1 END AS position
FROM subscriptions WHERE starts_with(name, $1 || '/');

-- name: drop_slots
DELETE FROM subscriptions WHERE starts_with(name, $1 || '/');

-- name: rename_slots
-- Under another epoch: whoever works for any of them is told at his next checkpoint move.
UPDATE subscriptions
SET name = $2 || substr(name, length($1) + 1), epoch = (random() * 4611686018427387903)::bigint
WHERE starts_with(name, $1 || '/');

-- name: upsert_projected
INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})
ON CONFLICT (key) DO UPDATE SET {assigned};

-- name: delete_projected
DELETE FROM {table} WHERE key = ANY ($1);

-- name: load_projected
SELECT {columns} FROM {table} WHERE key = ANY ($1);

-- name: select_projected
SELECT {columns} FROM {table} WHERE key > $1 {conditions} ORDER BY key LIMIT $2;

-- name: due_timers
-- Those that come behind a place and are to be looked at until a moment, so many, and as far as their messages
-- have so many bytes.
SELECT source, key, timer, event_id, correlation_id, occurrence, due, look, message_type, message
FROM (
    SELECT first.*, sum(octet_length(message)) OVER (
        ORDER BY look, source, key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS ahead
    FROM (
        SELECT * FROM timers
        WHERE (look, source, key) > ($1, $2::text, $3::text) AND look <= $4
        ORDER BY look, source, key LIMIT $5
    ) AS first
) AS counted
WHERE coalesce(ahead, 0) < $6
ORDER BY look, source, key;

-- name: hasten_timers
-- Those that were put off beyond a moment, so many, and until when the last of them was: from there on the next
-- call goes on. What was hastened is dead in the index of those, and to walk over it each time takes ever longer.
WITH late AS (
    SELECT source, key, look FROM timers WHERE look > due AND look > $1 ORDER BY look LIMIT $2
), hastened AS (
    UPDATE timers t SET look = due FROM late WHERE t.source = late.source AND t.key = late.key
    RETURNING 1
)
SELECT count(*) AS timers, (SELECT max(look) FROM late) AS last FROM hastened;

-- name: wake_timers_of
-- Those of some actors that were put off beyond a moment, so many: how many, and when the first of them is looked at.
WITH late AS (
    SELECT source, key FROM timers
    WHERE look > due AND look > $2 AND source = ANY($1::text[])
    ORDER BY look LIMIT $3
), woken AS (
    UPDATE timers t SET look = due FROM late WHERE t.source = late.source AND t.key = late.key
    RETURNING t.look
)
SELECT count(*) AS timers, min(look) AS look FROM woken;

-- name: wake_timers_of_types
-- The same for all actors of some types.
WITH late AS (
    SELECT source, key FROM timers
    WHERE look > due AND look > $2 AND split_part(source, '/', 1) = ANY($1::text[])
    ORDER BY look LIMIT $3
), woken AS (
    UPDATE timers t SET look = due FROM late WHERE t.source = late.source AND t.key = late.key
    RETURNING t.look
)
SELECT count(*) AS timers, min(look) AS look FROM woken;

-- name: count_timers
SELECT count(*) AS timers FROM timers;

-- name: forget_timers
WITH gone AS (
    DELETE FROM timers t USING unnest($1::text[], $2::text[]) AS g (source, key)
    WHERE t.source = g.source AND t.key = g.key
    RETURNING 1
)
SELECT count(*) AS timers FROM gone;

-- name: move_timers
UPDATE timers t SET occurrence = m.occurrence, due = m.due, look = m.look
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS m (source, key, timer, occurrence, due, look)
WHERE t.source = m.source AND t.key = m.key AND t.timer = m.timer;

-- name: keep_timers
-- Each in the place of what has its key; how many had none.
WITH kept AS (
    INSERT INTO timers
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::bytea[]
    )
    ON CONFLICT (source, key) DO UPDATE SET
        timer = excluded.timer,
        event_id = excluded.event_id,
        correlation_id = excluded.correlation_id,
        occurrence = excluded.occurrence,
        due = excluded.due,
        look = excluded.look,
        message_type = excluded.message_type,
        message = excluded.message
    RETURNING xmax = 0 AS fresh
)
SELECT count(*) FILTER (WHERE fresh) AS timers FROM kept;

-- name: last_erasure
-- The last actor-erased of an aggregate.
SELECT version, position, event_data ->> 'reason' AS reason FROM events
WHERE aggregate_id = $1 AND event_type = $2 AND kind = 'system'
ORDER BY version DESC LIMIT 1;

-- name: stretch_end
-- Where a stretch of versions of an aggregate ends that is at most so many events ($4), and so many bytes
-- ($5), or ends with the event that exceeds these. Null where there is none. Sizes are as they are stored:
-- they are known without the data being read.
SELECT max(version) AS through FROM (
    SELECT version, sum(size) OVER (ORDER BY version) - size AS before FROM (
        SELECT version, pg_column_size(event_data) + coalesce(pg_column_size(metadata), 0) AS size
        FROM events WHERE aggregate_id = $1 AND version > $2 AND version <= $3
        ORDER BY version LIMIT $4
    ) AS next
) AS sized WHERE before < $5;

-- name: bury_events
-- Tombstones of a stretch of versions of an aggregate. What says that it was erased stays, where it
-- is the actor's own ($5; null: of none).
UPDATE events SET event_data = $4::text::jsonb, metadata = NULL
WHERE aggregate_id = $1 AND version > $2 AND version <= $3
    AND NOT (event_type IS NOT DISTINCT FROM $5 AND kind = 'system')
    -- What is larger than a tombstone is none, and need not be read.
    AND (CASE WHEN pg_column_size(event_data) < 256 THEN event_data <> $4::text::jsonb ELSE true END
        OR metadata IS NOT NULL)
RETURNING 1;

-- name: bury_returned
-- The messages of an actor that were returned to it, which stand in the system's own stream: a
-- stretch of versions of that.
UPDATE events SET event_data = $3::text::jsonb, metadata = NULL
WHERE aggregate_id = $1 AND event_data ->> 'sender' = $2 AND version > $4 AND version <= $5
RETURNING 1;

-- name: fence_readers
-- All slots of programs, and some other subscriptions, are nobody's: whoever works for them begins
-- anew from what is committed, and reads the log as it is then.
WITH held AS MATERIALIZED (
    SELECT name FROM subscriptions
    WHERE member IS NULL AND (strpos(name, '/') > 0 OR name = ANY ($1))
    ORDER BY name FOR UPDATE  -- in one order
)
UPDATE subscriptions AS s SET epoch = $2 FROM held WHERE s.name = held.name
RETURNING split_part(s.name, '/', 1) AS program;

-- name: end_epochs_of
-- Of whatever has a name that ends so.
UPDATE epochs SET epoch = epoch + 1 WHERE right(name, length($1)) = $1;

-- name: programs_with_slots
SELECT DISTINCT split_part(name, '/', 1) AS program FROM subscriptions
WHERE member IS NULL AND strpos(name, '/') > 0;

-- name: erase_snapshot
DELETE FROM snapshots WHERE aggregate_id = $1 AND version < $2 AND data <> $3 RETURNING 1;

-- name: bury_snapshot
-- In the place of any that is older than actor-erased, also of one that has just come.
INSERT INTO snapshots AS s (aggregate_id, version, data) VALUES ($1, $2 - 1, $3)
ON CONFLICT (aggregate_id) DO UPDATE
SET version = excluded.version, data = excluded.data, timestamp = now()
WHERE s.version < $2;

-- name: erase_timers
-- Not those that were set behind its actor-erased.
DELETE FROM timers AS t
WHERE source = $1 AND NOT EXISTS (
    SELECT FROM events e WHERE e.id = t.event_id AND e.aggregate_id = $2 AND e.version > $3
)
RETURNING 1;

-- name: erase_states
DELETE FROM program_states WHERE program = ANY ($1) AND key = ANY ($2) RETURNING 1;

-- name: existing_aggregates
SELECT a.id FROM unnest($1::uuid[]) AS a (id)
WHERE EXISTS (SELECT FROM events e WHERE e.aggregate_id = a.id);

-- name: forget_reasons
UPDATE dead_letters SET reason = $2, frames = '' WHERE event_id = ANY ($1) AND reason <> $2
RETURNING 1;

-- name: erase_letters
-- In one scan. Those that wait for the actor, or for a key of it, go, and so do its messages that nobody
-- has taken. Of the others, a tombstone that waits for another key stays in its queue, which others may
-- be in, and its reason goes. What is larger than a tombstone is none, and need not be read.
WITH found AS MATERIALIZED (
    SELECT * FROM (
        SELECT d.program, d.by_source, d.name, d.position,
            (d.by_source AND d.name = ANY ($1)) OR (NOT d.by_source AND d.name = ANY ($2))
                OR (d.program = $4 AND coalesce(e.aggregate_id = $3, false)) AS goes,
            coalesce(d.reason <> $5, false)
                AND CASE WHEN pg_column_size(e.event_data) < 256
                    THEN e.event_data = $6::text::jsonb ELSE false END AS tells
        FROM dead_letters AS d LEFT JOIN events AS e ON e.id = d.event_id
    ) AS each WHERE goes OR tells
), gone AS (
    DELETE FROM dead_letters AS d USING found AS f
    WHERE f.goes AND (d.program, d.by_source, d.name, d.position)
        = (f.program, f.by_source, f.name, f.position)
    RETURNING 1
), untold AS (
    UPDATE dead_letters AS d SET reason = $5, frames = '' FROM found AS f
    WHERE NOT f.goes AND (d.program, d.by_source, d.name, d.position)
        = (f.program, f.by_source, f.name, f.position)
    RETURNING 1
)
SELECT 1 FROM gone UNION ALL SELECT 1 FROM untold;

-- name: kept_erasure
SELECT receipt::text FROM erasures WHERE position = $1;

-- name: begun_anew
-- The receipt of an erasure behind which its actor has begun anew.
SELECT receipt::text FROM erasures WHERE position = $1 AND EXISTS (
    SELECT FROM events WHERE aggregate_id = $2 AND version > $3
);

-- name: keep_erasure
INSERT INTO erasures (position, source, receipt) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (position) DO UPDATE SET receipt = excluded.receipt, done_at = clock_timestamp();

-- name: erasures
SELECT receipt::text FROM erasures ORDER BY position;

-- name: erased_keys
-- Of those that name others than their source, which programs read without a look at the others.
SELECT source, (receipt ->> 'version')::bigint AS version, (receipt -> 'keys')::text AS keys
FROM erasures
WHERE jsonb_array_length(receipt -> 'keys') > 1;

-- name: receipt_of_aggregate
-- Of the events of an aggregate up to a version, by their ids; and how many of them have data.
SELECT count(*) AS count,
    coalesce(sum(('x' || encode(substr(hash, 1, 8), 'hex'))::bit(64)::bigint::numeric), 0) AS high,
    coalesce(sum(('x' || encode(substr(hash, 9, 8), 'hex'))::bit(64)::bigint::numeric), 0) AS low,
    count(*) FILTER (WHERE left_over) AS left_over
FROM (
    SELECT sha256(uuid_send(id)) AS hash,
        version < $2 AND NOT (event_type = $4 AND kind = 'system')
            AND (event_data <> $3::text::jsonb OR metadata IS NOT NULL) AS left_over
    FROM events WHERE aggregate_id = $1 AND version <= $2
) AS theirs;

-- name: count_remains
SELECT
    (SELECT count(*) FROM events WHERE aggregate_id = $1 AND version > $2) AS since,
    (SELECT count(*) FROM snapshots
        WHERE aggregate_id = $1 AND version < $2 AND data <> $3) AS snapshots,
    (SELECT count(*) FROM timers AS t WHERE source = $4 AND NOT EXISTS (
        SELECT FROM events e WHERE e.id = t.event_id AND e.aggregate_id = $1 AND e.version > $2
    )) AS timers,
    (SELECT count(*) FROM program_states WHERE key = ANY ($5)) AS states,
    (SELECT count(*) FROM dead_letters AS d
        -- What came behind its end, like a message of somebody that finds it erased, is not of it.
        WHERE (d.position < $9 AND (
                (d.by_source AND d.name = ANY ($7))
                OR (NOT d.by_source AND d.program <> $8 AND d.name = ANY ($5))
            ))
            OR (d.program = $8 AND EXISTS (
                SELECT FROM events e
                WHERE e.id = d.event_id AND e.aggregate_id = $1 AND e.version < $2
            ))
            OR (d.reason <> $6 AND EXISTS (
                SELECT FROM events e WHERE e.id = d.event_id AND e.event_data = $10::text::jsonb
            ))) AS dead_letters;

-- name: count_outputs
-- What of these aggregates has data, but for what follows from the erasure itself; and of the messages
-- that were returned to an actor.
SELECT count(*) AS outputs FROM events
WHERE (aggregate_id = ANY ($1) AND event_data <> $4::text::jsonb
        AND causation_id IS DISTINCT FROM (SELECT id FROM events WHERE position = $5))
    OR (aggregate_id = $2 AND event_data ->> 'sender' = $3);

-- name: erase_projected
DELETE FROM {table} WHERE key = ANY ($1) RETURNING 1;

-- name: count_projected
SELECT count(*) AS rows FROM {table} WHERE key = ANY ($1);
