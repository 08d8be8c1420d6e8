-- Departures of each airport in the hours that begin every half hour. Only hours that are over
-- count: the weather moves event time, too.
departures AS (
    SELECT event_data->>'origin' AS key, (event_data->>'delay_min')::int AS delay,
        timestamp AS at FROM events
    WHERE event_type = 'flight-departed' AND source LIKE 'aircraft/%'
), selected AS (
    SELECT max(timestamp) AS watermark FROM events
    WHERE event_type IN ('flight-departed', 'weather-observed')
), rolling AS (
    SELECT key, date_bin('30 minutes', at, timestamptz '1970-01-01 00:00Z')
        - each * interval '30 minutes' AS start, count(*) AS departures,
        sum(delay)::float8 / count(delay) AS mean
    FROM departures, generate_series(0, 1) AS each GROUP BY 1, 2
), expected AS (
    SELECT * FROM rolling
    WHERE start + interval '1 hour' <= (SELECT watermark FROM selected) - {disorder}
), found AS (
    SELECT key, start, (data->>'departures')::bigint, (data->>'mean_delay_min')::float8
    FROM last WHERE (data->>'departures')::bigint > 0
)
