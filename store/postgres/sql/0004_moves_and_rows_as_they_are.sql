-- A parameter that is an array costs both ends a microsecond or two to write and to read, however
-- short it is, and append_events took nineteen of them. Now it takes two: of moves, and of rows.

CREATE TYPE counter_move AS (
    name    text,
    epoch   bigint,  -- the present one, or nothing moves
    counter bigint,  -- where to
    old     bigint,  -- where from; NULL: from wherever it is
    attempt bigint,
    place   tid      -- where the caller last saw the row
);

DROP FUNCTION append_events(
    text[], bigint[], bigint[], bigint[], bigint[], tid[], uuid[], uuid[], bigint[], bigint[],
    timestamptz[], timestamptz, uuid[], uuid[], text[], text[], text[], text[], text[], text[]
);
DROP FUNCTION move_counters(text[], bigint[], bigint[], bigint[], bigint[], tid[]);

-- As in 0002.
CREATE FUNCTION move_counters(moves counter_move[])
RETURNS tid[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    move counter_move;
    stands_at tid;
    found_at tid[] := '{}';
BEGIN
    FOREACH move IN ARRAY moves LOOP
        UPDATE epochs SET counter = move.counter, attempt = move.attempt
        WHERE ctid = move.place AND name = move.name AND epoch = move.epoch
            AND (move.old IS NULL OR counter = move.old)
        RETURNING ctid INTO stands_at;
        IF NOT FOUND THEN
            UPDATE epochs SET counter = move.counter, attempt = move.attempt
            WHERE name = move.name AND epoch = move.epoch
                AND (move.old IS NULL OR counter = move.old)
            RETURNING ctid INTO stands_at;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'an epoch is over' USING ERRCODE = 'TB001', DETAIL = move.name;
            END IF;
        END IF;
        found_at := found_at || stands_at;
    END LOOP;
    RETURN found_at;
END
$$;

CREATE FUNCTION append_events(moves counter_move[], rows events[])
RETURNS tid[] LANGUAGE plpgsql AS $$
DECLARE
    found_at tid[] := move_counters(moves);
BEGIN
    INSERT INTO events SELECT * FROM unnest(rows);
    RETURN found_at;
END
$$;
