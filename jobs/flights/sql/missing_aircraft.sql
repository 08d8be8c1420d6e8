-- The aircraft whose last move, up to the position {through}, ended elsewhere than planned: nobody
-- has said where they are.
last AS (
    SELECT DISTINCT ON (source) source, event_type FROM events
    WHERE event_type IN ('flight-departed', 'flight-arrived', 'flight-diverted')
        AND source LIKE 'aircraft/%' AND position <= {through}
    ORDER BY source, version DESC
), expected AS (
    SELECT source FROM last WHERE event_type = 'flight-diverted'
), found AS (
    SELECT unnest($1::text[])
)
