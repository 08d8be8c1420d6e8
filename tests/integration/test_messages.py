"""Messages between actors on real Ray and PostgreSQL: whatever dies, each has its effect once."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.event import BusinessEvent, Event
from actors.examples.load_management import Charger, LoadManager, PlugIn, SetLimit, Unplug
from actors.listening import listens
from actors.tell import Tell
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    log_of,
    statuses_of,
    stored,
)
from tests.integration.test_programs import report
from tests.integration.test_programs import under_traffic as reports_under_way

pytestmark = pytest.mark.integration

MODULES = {"actor_system": {"hosts": 2, "actor_modules": ["actors.examples.load_management"]}}
SITES = ("harbour", "airport", "market")
LIMIT_KW = 50.0
CHARGERS = 30


def round_of(system: ActorSystem, number: int) -> None:
    """Every charger that has a car loses it, and gets the next one: one in seven wants more than
    there is at all."""
    refs = [system.actor(Charger, f"c-{charger}") for charger in range(CHARGERS)]
    items: list[tuple[ActorRef[Any], Command]] = []
    for charger, ref in enumerate(refs):
        if number:
            items.append((ref, Unplug()))
        greedy = (charger + number) % 7 == 0
        kw = 60.0 if greedy else 5.0 + (charger * 3 + number) % 12
        items.append((ref, PlugIn(site=SITES[charger % len(SITES)], kw=kw)))
    told = system.tell_many(items, patience_s=LIMIT_S)
    assert told.failed == 0, told


def all_leave(system: ActorSystem) -> None:
    """No car stays: who waits still is granted nothing any more."""
    refs = [system.actor(Charger, f"c-{charger}") for charger in range(CHARGERS)]
    told = system.tell_many(((ref, Unplug()) for ref in refs), patience_s=LIMIT_S)
    assert told.failed == 0, told


@contextmanager
def under_traffic(system: ActorSystem) -> Iterator[None]:
    """Cars come and go while this lasts."""
    over, failures = threading.Event(), list[BaseException]()

    def go_on() -> None:
        number = 0
        try:
            while not over.is_set():
                round_of(system, number)
                number += 1
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert not failures, failures


def finished(system: ActorSystem) -> int:
    """Up to which position messages are."""
    found = log_of(system, "SELECT position FROM subscriptions WHERE name = 'messages'")
    return int(found[0][0]) if found else -1


def wait_delivered(system: ActorSystem) -> None:
    """Until no message is left, and none that came of one."""
    eventually(lambda: finished(system) >= stored(system))


def wait_further(system: ActorSystem) -> None:
    """Until messages are delivered again."""
    head = stored(system)
    eventually(lambda: finished(system) >= head)


def assert_never_exceeded(system: ActorSystem) -> None:
    """At every position of the log: what each site has granted together, and with how much its
    chargers charge together."""
    granted = log_of(
        system,
        "SELECT source, max(total) FROM (SELECT source, sum((event_data->>'kw')::float *"
        " CASE event_type WHEN 'power-granted' THEN 1 ELSE -1 END)"
        " OVER (PARTITION BY source ORDER BY position) AS total FROM events"
        " WHERE event_type IN ('power-granted', 'power-released')) AS sums GROUP BY source",
    )
    assert sorted(source for source, _ in granted) == sorted(f"load-manager/{s}" for s in SITES)
    charging = log_of(
        system,
        "SELECT site, max(total) FROM (SELECT plugged.event_data->>'site' AS site,"
        " sum((e.event_data->>'kw')::float *"
        " CASE e.event_type WHEN 'charging-started' THEN 1 ELSE -1 END)"
        " OVER (PARTITION BY plugged.event_data->>'site' ORDER BY e.position) AS total"
        " FROM events e JOIN events plugged ON plugged.event_type = 'plugged-in'"
        "  AND plugged.source = e.source"
        "  AND plugged.event_data->>'session' = e.event_data->>'session'"
        " WHERE e.event_type IN ('charging-started', 'unplugged')) AS sums GROUP BY site",
    )
    for _, most_kw in (*granted, *charging):
        assert 0 < most_kw <= LIMIT_KW + 1e-6


def assert_each_request_once(system: ActorSystem) -> int:
    """Each request was granted, or refused, or withdrawn while it waited: one of these, and once.
    How many there were."""
    rows = log_of(
        system,
        "WITH requests AS (SELECT split_part(source, '/', 2) AS charger,"
        "  event_data->'message'->>'session' AS session FROM events"
        "  WHERE event_type = 'message-sent' AND event_data->>'message_type' = 'request-power'),"
        " outcomes AS (SELECT coalesce(event_data->>'charger', split_part(source, '/', 2))"
        "  AS charger, event_data->>'session' AS session, event_type FROM events"
        "  WHERE event_type IN ('power-granted', 'power-denied')"
        "  OR (event_type = 'power-released' AND (event_data->>'kw')::float = 0))"
        " SELECT charger, session, array_agg(event_type) AS outcomes"
        " FROM requests LEFT JOIN outcomes USING (charger, session) GROUP BY charger, session",
    )
    counted = Counter(outcome for _, _, outcomes in rows for outcome in outcomes)
    assert [row for row in rows if len(row["outcomes"]) != 1 or row["outcomes"] == [None]] == []
    assert counted["power-granted"]
    assert counted["power-denied"]
    return len(rows)


def assert_receipt_agrees(system: ActorSystem, name: str = "messages") -> None:
    """What was finished is what the log has, each once."""

    async def compare() -> None:
        store = await system.open_store()
        try:
            [record] = [each for each in await store.subscriptions() if each.name == name]
            told = await store.recount(record.selection, record.began, record.position, None)
            assert told == record.receipt
        finally:
            await store.close()

    asyncio.run(compare())


def set_limits(system: ActorSystem) -> None:
    for site in SITES:
        system.actor(LoadManager, site).ask(SetLimit(kw=LIMIT_KW)).result(timeout_s=LIMIT_S)


def test_the_power_of_a_site_is_never_exceeded_whatever_is_killed(launch: Launcher) -> None:
    system = launch(**MODULES)
    set_limits(system)
    assert "deliverer" not in statuses_of(system)
    with under_traffic(system):
        eventually(lambda: finished(system) > 0)
        for victim in ("deliverer", "host-0", "writer", "deliverer", "host-1", "bus"):
            kill(system, victim)
            wait_further(system)
    round_of(system, 10**6)
    wait_delivered(system)  # so that some charge
    all_leave(system)
    wait_delivered(system)
    assert_never_exceeded(system)
    assert assert_each_request_once(system) > CHARGERS
    assert_receipt_agrees(system)
    assert_log_is_whole(system)


def test_what_a_drain_leaves_undelivered_is_delivered_after_the_next_launch(
    launch: Launcher,
) -> None:
    settings = launch.settings(**MODULES)
    system = launch.run(settings)
    set_limits(system)
    with under_traffic(system):
        eventually(lambda: finished(system) > 0)
    launch.drain(system)
    system = launch.run(settings)
    wait_delivered(system)
    all_leave(system)
    wait_delivered(system)
    assert_never_exceeded(system)
    assert_each_request_once(system)
    assert_receipt_agrees(system)


class Hello(Command):
    """To whom."""

    to: str


class Greeted(BusinessEvent):
    """It was."""


class Greeter(Actor[dict[str, int]]):
    """Greets whoever it is told to, by class."""

    state_type = dict
    ignores = (Greeted,)

    @handles
    def hello(self, message: Hello) -> Iterator[Greeted | Tell]:
        yield Greeted()
        yield Tell((Neighbour, message.to), Hello(to="nobody"))


class Neighbour(Actor[dict[str, int]]):
    """No driver ever speaks to it."""

    state_type = dict
    ignores = (Greeted,)

    @handles
    def hello(self, message: Hello) -> Iterator[Greeted]:
        yield Greeted()


def test_the_class_of_a_receiver_comes_with_the_first_message_that_names_it(
    launch: Launcher,
) -> None:
    system = launch(actor_system={"hosts": 2})
    greeter = system.actor(Greeter, "g")
    for number in range(6):  # of two hosts, some live at the one that is not the sender's
        greeter.ask(Hello(to=f"n-{number}")).result(timeout_s=LIMIT_S)
    count = "SELECT count(*) FROM events WHERE source LIKE 'neighbour/%'"
    eventually(lambda: log_of(system, count)[0][0] == 6)
    # Whoever brings that class himself finds the same actors.
    refs = [system.actor(Neighbour, f"n-{number}") for number in range(6)]
    for ref in refs:
        ref.ask(Hello(to="nobody")).result(timeout_s=LIMIT_S)
    assert log_of(system, count)[0][0] == 12
    assert_log_is_whole(system)


class Tallied(BusinessEvent):
    """A counter was heard."""

    amount: int


class Tally(Actor[dict[str, int]]):
    """Hears what counters add: two of it, by the last digit of their names."""

    state_type = dict

    @listens("added", sources="counter/*", name=lambda event: f"t-{int(event.source[-1]) % 2}")
    def heard(self, event: Event) -> Iterator[Tallied]:
        yield Tallied(amount=event.data["amount"])

    @applies
    def tallied(self, event: Tallied) -> None:
        self.state["heard"] = self.state.get("heard", 0) + 1


def heard(system: ActorSystem) -> int:
    """Up to which position counters were."""
    found = log_of(system, "SELECT position FROM subscriptions WHERE name = 'tally'")
    return int(found[0][0]) if found else -1


def test_actors_hear_each_event_once_whatever_is_killed(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 2})
    report(system, 200)
    system.run(Tally).result(timeout_s=LIMIT_S)
    with reports_under_way(system, 200):
        for victim in ("worker-0-of-tally", "host-0", "writer", "worker-0-of-tally", "host-1"):
            kill(system, victim)
            head = stored(system)
            eventually(lambda head=head: heard(system) >= head)  # type: ignore[misc]
    head = report(system, 40, first=10**6)
    eventually(lambda: heard(system) >= head)
    rows = log_of(
        system,
        "SELECT e.source, e.position, count(t.id), max(t.position) AS heard, max(t.source)"
        " FROM events e LEFT JOIN events t ON t.event_type = 'tallied' AND t.causation_id = e.id"
        " WHERE e.event_type = 'added' GROUP BY e.id ORDER BY e.position",
    )
    last: dict[str, int] = {}
    for source, position, count, at, by in rows:
        assert (count, by) == (1, f"tally/t-{int(source[-1]) % 2}")
        assert at > max(position, last.get(by, 0))
        last[by] = at
    assert_log_is_whole(system)
