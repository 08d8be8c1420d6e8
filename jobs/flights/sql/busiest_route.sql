-- How many routes there are, and the one on which most flights arrived.
SELECT key, arrived, cancelled, diverted, delay_min::float8 / arrived AS mean_delay_min,
    count(*) OVER () AS routes
FROM projections.routes WHERE arrived > 0 ORDER BY arrived DESC, key LIMIT 1
