-- The event of the congestion that began with the greatest delay.
SELECT id FROM events WHERE source LIKE 'airport/%' AND event_type = 'airport-congested'
ORDER BY (event_data->>'mean_delay_min')::float8 DESC, position LIMIT 1
