"""A driver: sends commands without end, and writes down each of them and what it hears.

    python -m tests.chaos.driver NAMESPACE NUMBER INCARNATION FOLDER SEED

It sends some of them again later, under their ids: those of which it has heard nothing, those of an
earlier incarnation of it, and now and then one that was acknowledged. Some it sends by two
connections at the same time. And on the way to hosts its requests come twice, late and in another
order (unruly.py). Told to end, it goes on until every command has an answer.
"""

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from actors.actor import Actor
from actors.command import Command
from actors.errors import Rejected, ThornbackError
from actors.event import Event
from actors.examples.load_management import Charger, LoadManager, PlugIn, SetLimit, Unplug
from runtime.driver.reply import Reply
from runtime.system import ActorSystem
from tests.chaos.alarms import Alarm, StopBell, Wind
from tests.chaos.ending import listen_for_end
from tests.chaos.reading import sendings_in
from tests.chaos.records import Record, now_ns
from tests.chaos.unruly import make_unruly
from tests.integration.devices import Add, Burst, Counter

COUNTERS = 24
CHARGERS = 4  #: of each driver
SITES = 2
ALARMS = 12
LONGEST_S = 5.0  #: until an alarm rings that was wound
LIMIT_KW = 50.0
ROUND = 24  #: commands that are under way at once
PAUSE_S = 0.05
KEPT = 200  #: acknowledged commands of which one may be sent again
TWICE = 0.03  #: of commands: sent by two connections, while neither is answered
_TYPES: dict[str, type[Actor[Any]]] = {
    "counter": Counter, "load-manager": LoadManager, "managed-charger": Charger,
    "alarm": Alarm,
}  # fmt: skip
_MESSAGES: dict[str, type[Command]] = {
    "add": Add, "burst": Burst, "plug-in": PlugIn, "unplug": Unplug, "set-limit": SetLimit,
    "wind": Wind, "stop-bell": StopBell,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A command, as it is sent however often."""

    id: UUID
    source: str
    message_type: str
    data: dict[str, Any]


class Driver:
    """One incarnation of it."""

    def __init__(
        self, system: ActorSystem, beside: ActorSystem, record: Record, name: str, draw: Random
    ) -> None:
        self._system, self._beside = system, beside
        self._record, self._name, self._draw = record, name, draw
        self._numbers = count()
        self._acknowledged: list[Order] = []
        self.open: list[Order] = []  #: of which it has heard nothing that lasts

    def round(self, orders: list[Order]) -> None:
        """Send all of these, and write down what is heard of each."""
        sent = []
        for order in orders:
            if self._draw.random() < TWICE:
                sent.append((order, *self._send(order, self._beside)))
            sent.append((order, *self._send(order, self._system)))
        for order, number, reply in sent:
            self._hear(order, number, reply)

    def orders(self) -> Iterator[Order]:
        """What is sent next."""
        for _ in range(ROUND):
            yield self._new()
        if self._acknowledged:
            yield self._draw.choice(self._acknowledged)

    def _send(self, order: Order, system: ActorSystem) -> tuple[int, Reply[list[Event]]]:
        actor_type, _, name = order.source.partition("/")
        ref = system.actor(_TYPES[actor_type], name)
        message = _MESSAGES[order.message_type](**order.data)
        number = next(self._numbers)
        self._record.write(
            number=number,
            id=order.id.hex,
            source=order.source,
            message_type=order.message_type,
            data=order.data,
            at_ns=now_ns(),
        )
        return number, ref.ask(message, id=order.id)

    def _hear(self, order: Order, number: int, reply: Reply[list[Event]]) -> None:
        try:
            events = reply.result()
        except Rejected:
            self._record.write(number=number, outcome="rejected", at_ns=now_ns())
        except ThornbackError as error:
            self._record.write(number=number, outcome=type(error).__name__, at_ns=now_ns())
            self.open.append(order)
        else:
            told = [[event.id_bytes.hex(), event.position, event.version] for event in events]
            self._record.write(number=number, outcome="acknowledged", at_ns=now_ns(), events=told)
            self._acknowledged = [*self._acknowledged[1 - KEPT :], order]

    def _new(self) -> Order:
        draw = self._draw
        fresh = UUID(bytes=self._system.connection.new_id())
        match draw.random():
            case chance if chance < 0.06:
                wound = {"after_s": draw.uniform(0.0, LONGEST_S)}
                return Order(fresh, f"alarm/a-{draw.randrange(ALARMS)}", "wind", wound)
            case chance if chance < 0.08:
                return Order(fresh, f"alarm/a-{draw.randrange(ALARMS)}", "stop-bell", {})
            case chance if chance < 0.7:
                amount = draw.randrange(1_000_000)
                return Order(
                    fresh, f"counter/c-{draw.randrange(COUNTERS)}", "add", {"amount": amount}
                )
            case chance if chance < 0.8:
                many = {"count": draw.randrange(1, 5)}
                return Order(fresh, f"counter/c-{draw.randrange(COUNTERS)}", "burst", many)
            case chance if chance < 0.9:
                wanted = {"site": f"s-{draw.randrange(SITES)}", "kw": float(draw.randrange(5, 60))}
                return Order(fresh, self._charger(), "plug-in", wanted)
        return Order(fresh, self._charger(), "unplug", {})

    def _charger(self) -> str:
        return f"managed-charger/{self._name}-{self._draw.randrange(CHARGERS)}"

    def limits(self) -> list[Order]:
        """What sites are told first."""
        fresh = [UUID(bytes=self._system.connection.new_id()) for _ in range(SITES)]
        limit = {"kw": LIMIT_KW}
        return [
            Order(each, f"load-manager/s-{number}", "set-limit", limit)
            for number, each in enumerate(fresh)
        ]


def unheard(folder: Path, name: str) -> list[Order]:
    """What earlier incarnations have sent and never heard of."""
    mine = [each for each in sendings_in(folder) if each.driver.startswith(f"{name}-")]
    answered = {each.id for each in mine if each.outcome in ("acknowledged", "rejected")}
    waiting = {each.id: each for each in mine if each.id not in answered}
    return [
        Order(UUID(bytes=each.id), each.source, each.message_type, dict(each.data))
        for each in waiting.values()
    ]


def connected(namespace: str) -> ActorSystem:
    """As soon as the system lets it in, however long that takes: who has started this program says
    when it was too long."""
    while True:
        try:
            return ActorSystem.connect(namespace)
        except ThornbackError as error:  # the directory may be away just now
            print(error, file=sys.stderr, flush=True)
            time.sleep(PAUSE_S)  # some refuse at once, and nobody says when it is over


def main() -> int:
    """Until it is told to end."""
    namespace, number, incarnation, folder, seed = sys.argv[1:]
    over = threading.Event()
    listen_for_end(over.set)
    name = f"driver-{number}"
    again = unheard(Path(folder), name)
    ways = Record(Path(folder) / f"ways-of-{name}-{incarnation}.jsonl")
    system, beside = connected(namespace), connected(namespace)
    for which, each in enumerate((system, beside)):
        draw = Random(f"{seed} ways of {name} {incarnation} {which}")
        make_unruly(each.connection.world, draw, ways)
    record = Record(Path(folder) / f"{name}-{incarnation}.jsonl")
    driver = Driver(system, beside, record, name, Random(f"{seed} {name} {incarnation}"))
    driver.open = again
    driver.round(driver.limits())
    while not over.wait(PAUSE_S):
        driver.round([*_taken(driver), *driver.orders()])
    while driver.open:
        driver.round(_taken(driver))
    for each in (system, beside):
        each.connection.close()
    ways.close()
    record.close()
    return 0


def _taken(driver: Driver) -> list[Order]:
    taken, driver.open = driver.open[:ROUND], driver.open[ROUND:]
    return taken


if __name__ == "__main__":
    sys.exit(main())
