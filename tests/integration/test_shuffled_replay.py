"""Real traffic of which a tenth is reported up to ten days late: what programs and airports have
made of it in the end is what plain SQL makes of the same events, which knows no order of arrival.

The pipelines wait for five days and keep windows for two more, so what comes later is computed
again from the log.
"""

import re
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from actors.event import Event, Payload
from jobs import replay as replaying
from jobs.flights import findings
from jobs.flights.catching_up import wait_caught_up
from jobs.flights.proofs import Verdict
from jobs.flights.streams import run_examples
from runtime.errors import NotPossible
from runtime.system import ActorSystem
from store.postgres.event_store import PostgresEventStore
from store.slots import SLOTS
from streams.handler import Handler
from tests.integration.systems import log_of

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0

CORRECTED = """
    SELECT count(*) FROM events WHERE jsonb_array_length(event_data->'replaces') > 0
"""
#: Departures of whose aircraft the log had something that happened more than a week later.
LATE = """
    WITH moves AS (SELECT timestamp, event_type, max(timestamp) OVER (
        PARTITION BY source ORDER BY version) AS newest
        FROM events WHERE source LIKE 'aircraft/%' AND event_type <> 'flight-scheduled')
    SELECT count(*) FROM moves
    WHERE event_type = 'flight-departed' AND timestamp < newest - interval '7 days'
"""
TURNED = "SELECT DISTINCT source FROM events WHERE event_type = 'airport-cleared'"

#: The departure that made an airport congested first, an arrival, and a diversion after which
#: nothing more was heard of an aircraft.
FORGOTTEN = """
    DELETE FROM events WHERE id IN (
        (SELECT causation_id FROM events WHERE event_type = 'airport-congested'
            ORDER BY position LIMIT 1),
        (SELECT id FROM events WHERE event_type = 'flight-arrived' ORDER BY position LIMIT 1),
        (SELECT id FROM (SELECT DISTINCT ON (source) id, event_type, position FROM events
            WHERE source LIKE 'aircraft/%' ORDER BY source, version DESC) AS last
            WHERE event_type = 'flight-diverted' LIMIT 1)
    ) RETURNING id
"""


@pytest.mark.parametrize("days", [14, pytest.param(365, marks=pytest.mark.long)])
def test_the_last_results_are_those_of_the_events_in_order(
    postgres_system: ActorSystem, days: int, capsys: pytest.CaptureFixture[str]
) -> None:
    holds = replaying.replay(postgres_system, days, PATIENCE_S, streams=True, late_days=10)

    said = capsys.readouterr().out
    assert holds, said
    worst = re.findall(r"^(\w{3} +2013-\S+) +\d+ +\d+ min", said, re.MULTILINE)
    assert len({*worst}) == 3, "of what was corrected, the last result is shown"
    assert log_of(postgres_system, LATE)[0][0] > days
    assert log_of(postgres_system, CORRECTED)[0][0] > days
    turned = {row["source"] for row in log_of(postgres_system, TURNED)}
    assert turned == {"airport/EWR", "airport/JFK", "airport/LGA"}


def test_each_proof_fails_where_the_log_says_something_else(
    postgres_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts: list[Verdict] = []
    monkeypatch.setattr(findings, "show_verdict", lambda verdict, _: verdicts.append(verdict))
    assert replaying.replay(postgres_system, 8, PATIENCE_S, streams=True)
    assert [each.says for each in verdicts if not each.holds or not each.found] == []
    assert len(verdicts) == 6

    verdicts.clear()
    assert len(log_of(postgres_system, FORGOTTEN)) == 3
    assert not run_examples(postgres_system, Console(quiet=True))
    assert [each.says for each in verdicts if each.holds] == []


class Stumbles(Handler):
    """It stands at the first event."""

    event_types = ("weather-observed",)
    on_failure = "pause"
    tries = 1

    def handle(self, event: Event) -> Iterator[Payload]:
        raise ValueError(f"no weather at {event.position}")


def test_a_program_that_stands_is_not_waited_for(postgres_system: ActorSystem) -> None:
    assert replaying.replay(postgres_system, 1, PATIENCE_S)
    postgres_system.run(Stumbles, workers=1).result()
    run = postgres_system.connection.courier.run
    store = run(postgres_system.open_store()).result()
    assert isinstance(store, PostgresEventStore)
    said = StringIO()
    try:
        with pytest.raises(NotPossible, match=r"stumbles fails at event .*: no weather at"):
            wait_caught_up(postgres_system, store, {"stumbles": SLOTS}, 10**6, Console(file=said))
    finally:
        run(store.close()).result()
