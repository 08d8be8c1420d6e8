-- Departures by carrier and hour. Only hours that are over count.
departures AS (
    SELECT event_data->>'carrier' AS key, (event_data->>'delay_min')::int AS delay,
        timestamp AS at, date_bin('1 hour', timestamp, timestamptz '1970-01-01 00:00Z') AS start
    FROM events WHERE event_type = 'flight-departed' AND source LIKE 'aircraft/%'
), expected AS (
    SELECT key, start, count(*) AS departures, sum(delay)::float8 / count(delay) AS mean,
        max(delay) AS worst
    FROM departures GROUP BY key, start
    HAVING start + interval '1 hour' <= (SELECT max(at) FROM departures) - {disorder}
), found AS (
    SELECT key, start, (data->>'departures')::bigint, (data->>'mean_delay_min')::float8,
        (data->>'worst_delay_min')::int FROM last
)
