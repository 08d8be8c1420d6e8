-- When the airports should have said that they are congested, and that they are so no longer:
-- the rule of actors/examples/airport.py over what flights and stations alone have said, in the
-- order of the log, in which an airport hears of it, up to the position {through}.
departures AS (
    -- `newest`: the latest departure that the airport knew of by then; some are reported late.
    SELECT id, position, event_data->>'origin' AS airport, timestamp AS at,
        (event_data->>'delay_min')::int AS delay,
        max(timestamp) OVER (PARTITION BY event_data->>'origin' ORDER BY position) AS newest
    FROM events
    WHERE event_type = 'flight-departed' AND source LIKE 'aircraft/%'
        AND event_data->>'origin' IN ('EWR', 'JFK', 'LGA') AND position <= {through}
), counting AS (
    -- A departure counts for an hour: in its own hour of the clock, and in the next one.
    SELECT *, date_bin('1 hour', at, timestamptz '1970-01-01 00:00Z')
        + each * interval '1 hour' AS clock_hour
    FROM departures, generate_series(0, 1) AS each
), hours AS (
    -- Each departure with those before it that are within the hour up to the newest.
    SELECT this.id, this.position, this.airport, this.at, count(other.id) + 1 AS departures,
        (coalesce(sum(other.delay), 0) + this.delay)::float8 / (count(other.id) + 1) AS mean
    FROM departures AS this LEFT JOIN counting AS other
        ON other.airport = this.airport
        AND other.clock_hour = date_bin('1 hour', this.newest, timestamptz '1970-01-01 00:00Z')
        AND other.at > this.newest - interval '1 hour' AND other.position < this.position
    GROUP BY this.id, this.position, this.airport, this.at, this.delay
), judged AS (
    -- In between an airport stays what it is.
    SELECT *, departures >= 10 AND mean >= 30 AS congested FROM hours
    WHERE (departures >= 10 AND mean >= 30) OR departures < 5 OR mean < 15
), before AS (
    SELECT *, lag(congested, 1, false) OVER (PARTITION BY airport ORDER BY position) AS was
    FROM judged
), turns AS (
    SELECT * FROM before WHERE congested <> was
), weather AS (
    SELECT id, position, split_part(source, '/', 2) AS airport,
        lead(position) OVER (PARTITION BY source ORDER BY position) AS next,
        coalesce((event_data->>'visibility_mi')::float8 < 3, false) AS fog,
        coalesce((event_data->>'wind_speed_mph')::float8 > 25, false) AS wind
    FROM events
    WHERE event_type = 'weather-observed'
        AND source IN ('weather-station/EWR', 'weather-station/JFK', 'weather-station/LGA')
), expected AS (
    SELECT turns.airport, CASE WHEN congested THEN 'airport-congested' ELSE 'airport-cleared' END,
        turns.at, turns.departures, turns.mean, turns.id AS cause, weather.id AS weather,
        coalesce(fog, false) AS fog, coalesce(wind, false) AS wind
    FROM turns LEFT JOIN weather ON weather.airport = turns.airport
        AND weather.position < turns.position
        AND (weather.next IS NULL OR weather.next > turns.position)
        AND (weather.fog OR weather.wind) AND turns.congested
), found AS (
    SELECT split_part(said.source, '/', 2), said.event_type, said.timestamp,
        (said.event_data->>'departures')::bigint, (said.event_data->>'mean_delay_min')::float8,
        said.causation_id, (said.event_data->>'weather')::uuid,
        coalesce(said.event_data->>'contributing' LIKE '%one sees %', false),
        coalesce(said.event_data->>'contributing' LIKE '%wind of %', false)
    FROM events AS said LEFT JOIN events AS cause ON cause.id = said.causation_id
    WHERE said.source IN ('airport/EWR', 'airport/JFK', 'airport/LGA')
        AND said.event_type IN ('airport-congested', 'airport-cleared')
        AND (cause.position <= {through} OR cause.position IS NULL)
)
