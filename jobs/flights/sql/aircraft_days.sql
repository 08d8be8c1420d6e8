-- What each aircraft does between two rests of six hours. Only days that are over count.
moves AS (
    SELECT split_part(source, '/', 2) AS key, event_type, timestamp AS at,
        timestamp - lag(timestamp) OVER (PARTITION BY source ORDER BY timestamp) AS rest
    FROM events
    WHERE event_type IN ('flight-departed', 'flight-arrived', 'flight-diverted')
        AND source LIKE 'aircraft/%'
), days AS (
    SELECT *, count(*) FILTER (WHERE rest >= interval '6 hours') OVER (
        PARTITION BY key ORDER BY at RANGE UNBOUNDED PRECEDING) AS day
    FROM moves
), all_of_them AS (
    SELECT key, min(at) AS start, count(*) FILTER (WHERE event_type = 'flight-departed')
        AS departures, count(*) FILTER (WHERE event_type = 'flight-arrived') AS arrivals,
        max(at) + interval '6 hours' <= (SELECT max(at) FROM moves) - {disorder} AS over
    FROM days GROUP BY key, day
), expected AS (
    SELECT key, start, departures, arrivals FROM all_of_them WHERE over
), found AS (
    -- Results that are a part of what goes on yet stand until that is over.
    SELECT key, start, (data->>'departures')::bigint, (data->>'arrivals')::bigint FROM last
    WHERE NOT EXISTS (SELECT 1 FROM all_of_them AS day
        WHERE day.key = last.key AND NOT day.over AND day.start <= last.start)
)
