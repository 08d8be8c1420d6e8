-- Energy per site, from the events themselves.
SELECT data->>'site' AS site,
       count(DISTINCT source) AS chargers,
       sum((data->>'kwh')::numeric) AS kwh
FROM log_events
WHERE actor_type = 'charger' AND event_type = 'energy-delivered'
GROUP BY site
ORDER BY site
