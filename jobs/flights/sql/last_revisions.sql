-- `last`: the results of the windows of {program}, without those that another one has replaced.
results AS (
    SELECT split_part(source, '/', 2) AS key, event_data AS data,
        (event_data->'window'->>'start')::timestamptz AS start,
        (event_data->'window'->>'end')::timestamptz AS until,
        (event_data->>'revision')::int AS revision
    FROM events WHERE source LIKE '{program}/%'
), replaced AS (
    SELECT key, (each->>'start')::timestamptz AS start, (each->>'end')::timestamptz AS until,
        (each->>'revision')::int AS revision
    FROM results, jsonb_array_elements(data->'replaces') AS each
), last AS (
    SELECT * FROM results
    WHERE NOT EXISTS (SELECT 1 FROM replaced WHERE replaced.key = results.key
        AND replaced.start = results.start AND replaced.until = results.until
        AND replaced.revision = results.revision)
)
