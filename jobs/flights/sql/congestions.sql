-- How often each airport was congested, in how many of these the weather was in the way, and how
-- long it took at the most until it was cleared.
WITH turns AS (
    SELECT split_part(source, '/', 2) AS airport, event_type, event_data,
        lead(timestamp) OVER (PARTITION BY source ORDER BY version) - timestamp AS lasted
    FROM events
    WHERE source LIKE 'airport/%' AND event_type IN ('airport-congested', 'airport-cleared')
)
SELECT airport, count(*) AS times,
    count(*) FILTER (WHERE event_data->>'weather' IS NOT NULL) AS in_weather,
    max(extract(epoch FROM lasted) / 3600)::float8 AS longest_h
FROM turns WHERE event_type = 'airport-congested' GROUP BY airport ORDER BY airport
