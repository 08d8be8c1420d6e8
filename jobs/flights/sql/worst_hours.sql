-- The hours of an airport in which twenty flights and more left latest.
SELECT key AS airport, data->'window'->>'start' AS start,
    (data->>'departures')::int AS departures, (data->>'mean_delay_min')::float8 AS delay,
    (data->>'least_visibility_mi')::float8 AS visibility
FROM last WHERE (data->>'departures')::int >= 20
ORDER BY delay DESC, start LIMIT 3
