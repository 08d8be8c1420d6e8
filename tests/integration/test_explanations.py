"""Why an event is in the log: over real processes, by a driver, and by the command."""

import json
from pathlib import Path
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from actors.clock import CausalRelation
from actors.event import Event
from jobs.cli.main import thornback
from runtime.system import ActorSystem
from store.errors import UnknownEvent
from tests.integration.devices import Add, Burst
from tests.integration.systems import LIMIT_S, Launcher, url_of
from tests.integration.test_causality import add, on_host

pytestmark = pytest.mark.integration


def add_because(system: ActorSystem, host: int, cause: Event) -> Event:
    """An event on that host that follows from another."""
    reply = on_host(system, host).ask(
        Add(), causation_id=cause.id, correlation_id=cause.correlation_id
    )
    return reply.result(timeout_s=LIMIT_S)[0]


def test_an_event_is_explained_across_hosts_to_a_driver_and_on_a_terminal(
    launch: Launcher, tmp_path: Path
) -> None:
    system = launch(actor_system={"hosts": 2})
    cause = add(on_host(system, 0))
    event = add_because(system, 1, cause)
    effect = add_because(system, 0, event)
    with ActorSystem.connect(system.namespace) as stranger:  # who has read nothing of it
        beside = add_because(stranger, 1, cause)
    on_host(system, 0).ask(Burst(count=5)).result(timeout_s=LIMIT_S)

    found = system.explain(event.id).result(timeout_s=LIMIT_S)
    assert (found.ancestors, found.descendants) == ((cause,), (effect,))
    assert (found.origin, found.cuts) == (cause.causation_id, ())
    assert found.correlated == (cause, event, effect, beside)
    assert found.relation(cause, effect) is CausalRelation.HAPPENED_BEFORE
    # One host ticks both, and the other has not been heard of.
    assert found.relation(effect, beside) is CausalRelation.CONCURRENT
    assert found.effects_of(cause) == (event, beside)
    with pytest.raises(UnknownEvent):
        system.explain(uuid4()).result(timeout_s=LIMIT_S)

    def said(*arguments: str) -> str:
        done = CliRunner(env={"DATABASE_URL": url_of(system), "COLUMNS": "200"}).invoke(
            thornback, ["explain", *arguments], standalone_mode=False, catch_exceptions=False
        )
        assert not done.return_value, done.output
        return done.output

    tree = said(str(event.id))
    assert tree.startswith(f"command {cause.causation_id}")
    assert tree.count("added") == 4
    assert tree.count("this one") == 1
    printed = json.loads(said(str(event.id), "--json"))
    assert printed["ancestors"] == [str(cause.id)]
    assert [UUID(each["event_id"]) for each in printed["events"]] == [
        each.id for each in found.events
    ]
    picture = tmp_path / "why.svg"
    assert said(str(event.id), "--svg", str(picture)) == ""
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    with pytest.raises(UnknownEvent):
        said(str(UUID(int=7)))
