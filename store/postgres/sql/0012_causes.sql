-- What an event has caused, and what belongs together: system.explain() asks for both.
--
-- The events of a command that names nothing else have its id as cause and as correlation, and have no
-- entry here: the first of them is found by its id, which is that of the command but for the last byte
-- (actors/ids.py), and the others follow on it in their source. Those are nearly all events of a fleet that
-- reports, and an entry in two indexes would cost each of them more than they are worth
-- (docs/decisions/0065).
CREATE INDEX events_causation_idx ON events (causation_id, position)
WHERE causation_id IS DISTINCT FROM correlation_id;

CREATE INDEX events_correlation_idx ON events (correlation_id, position)
WHERE causation_id IS DISTINCT FROM correlation_id;
