-- Up to which position each of these programs is, and how many of its slots have begun.
SELECT split_part(name, '/', 1) AS program, min(position) AS position, count(*) AS slots
FROM subscriptions WHERE split_part(name, '/', 1) = ANY ($1::text[]) GROUP BY 1
