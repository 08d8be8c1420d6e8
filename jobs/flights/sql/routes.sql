-- What became of the flights of each route, up to where the table is.
expected AS (
    SELECT (event_data->>'origin') || '-' || (event_data->>'destination'),
        count(*) FILTER (WHERE event_type = 'flight-arrived'),
        count(*) FILTER (WHERE event_type = 'flight-cancelled'),
        count(*) FILTER (WHERE event_type = 'flight-diverted'),
        coalesce(sum((event_data->>'delay_min')::int), 0), max((event_data->>'delay_min')::int)
    FROM events
    WHERE event_type IN ('flight-arrived', 'flight-cancelled', 'flight-diverted')
        AND source LIKE 'aircraft/%'
        AND position <= (SELECT min(position) FROM subscriptions WHERE name LIKE 'routes/%')
    GROUP BY 1
), found AS (
    SELECT key, arrived, cancelled, diverted, delay_min, worst_delay_min FROM projections.routes
)
