-- The hours of an airport in which twenty flights and more left latest.
SELECT split_part(source, '/', 2) AS airport, event_data->'window'->>'start' AS start,
    (event_data->>'departures')::int AS departures,
    (event_data->>'mean_delay_min')::float8 AS delay,
    (event_data->>'least_visibility_mi')::float8 AS visibility
FROM events WHERE source LIKE 'airport-delays/%' AND (event_data->>'departures')::int >= 20
ORDER BY delay DESC, start LIMIT 3
