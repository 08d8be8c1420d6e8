"""The insides of a host without Ray: mailbox, executor and actors over a store in memory."""

import asyncio
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent, Event, Payload
from actors.naming import aggregate_id_of
from runtime.clocks import NodeClock
from runtime.host.actor_types import ActorTypes
from runtime.host.batch import Batch
from runtime.host.decision import Decider
from runtime.host.executor import Executor
from runtime.host.host_metrics import HostMetrics
from runtime.host.mailbox import Mailbox
from runtime.host.recent import Recent
from runtime.host.residents import Residents
from runtime.host.shards import Shards
from runtime.host.supervision import Supervisor
from runtime.partition.journal import Journal
from runtime.telemetry.metrics import Metrics
from runtime.wire.answers import read_events, unpack_state
from runtime.wire.commands import START, STATE, STOP, Answer, Request, unpack_answer
from runtime.wire.values import members
from store.appends import Acknowledged, Append
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows
from tests.contracts.appending import made_event
from tests.unit.writing import CuedStore, Writing

NODE = "host"
#: The hosts of a system, where this one is not alone.
SHARING = [NODE, "other"]
AT_US = 400_000_000_000_000

_ids: Iterator[int] = count(1)


class Add(Command):
    """Count up by one, so many times."""

    times: int = 1


class AddOnce(Command):
    """Count up by one, unless anything was counted."""


class AddUpTo(Command):
    """Count up to a total; nothing to do when it is reached."""

    total: int


class Break(Command):
    """Raise something that is no refusal; a broken counter raises on everything."""


class Spoil(Command):
    """Yield an event whose application fails half-way."""


class YieldBadData(Command):
    """Yield what no log can hold."""


class YieldNoPayload(Command):
    """Yield something that is no event at all."""


class Counted(DeviceEvent):
    """One more."""

    total: Any


class Spoilt(DeviceEvent):
    """Cannot be applied."""


class CounterState(BaseModel):
    total: int = 0
    spoilt: bool = False


class Counter(Actor[CounterState]):
    """Counts."""

    @handles
    def add(self, message: Add) -> Iterator[Payload]:
        for number in range(message.times):
            yield Counted(total=self.state.total + number + 1)

    @handles
    def add_once(self, message: AddOnce) -> Iterator[Payload]:
        if self.state.total:
            raise Rejected("counted already")
        yield Counted(total=1)

    @handles
    def add_up_to(self, message: AddUpTo) -> Iterator[Payload]:
        for total in range(self.state.total, message.total):
            yield Counted(total=total + 1)

    @handles
    def break_down(self, message: Break) -> Iterator[Payload]:
        yield Counted(total=self.state.total + 1)
        raise RuntimeError("broken")

    @handles
    def spoil(self, message: Spoil) -> Iterator[Payload]:
        yield Counted(total=self.state.total + 1)
        yield Spoilt()

    @handles
    def yield_bad_data(self, message: YieldBadData) -> Iterator[Payload]:
        yield Counted(total=float("nan"))

    @handles
    def yield_no_payload(self, message: YieldNoPayload) -> Any:
        return ["not a payload"]

    @applies
    def counted(self, event: Counted) -> None:
        self.state.total += 1

    @applies
    def spoilt(self, event: Spoilt) -> None:
        self.state.spoilt = True
        raise RuntimeError("spoilt")


def command(source: str, message: Command | str, **changes: Any) -> list[Any]:
    """A command as it comes off the wire, with an id of its own."""
    if isinstance(message, str):
        message_type, data = message, changes.pop("data", None)
    else:
        message_type, data = message.message_type, members(message)
    fields = {"id": UUID(int=next(_ids) << 64).bytes, "at_us": AT_US, "data": data}
    fields = {**fields, "correlation": None, "causation": None, **changes}
    return [source, message_type, *fields.values()]


class Hosting:
    """One host at work. `deliver` is what a driver does, one batch after another.

    More than fifteen fields: it has all the parts of a host, for tests to look at.
    """

    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self.store = writing.store
        self.appends: list[Append] = []
        self.writer_back = asyncio.Event()
        self.writer_back.set()
        self._sequence = 0
        self.generation = 0
        self.now_us = AT_US  #: what its clock says
        self.escalated: list[Batch] = []  #: behind whose answers a host would end
        self.became: list[str] = []  #: of actors that failed

    @classmethod
    async def begin(
        cls,
        store: CuedStore | None = None,
        *,
        strategy: str = "restart",
        capacity: int = 1000,
        frequency: int = 1000,
        mailbox: int = 100_000,
        recent: int = 20_000,
        shards: bool = False,
    ) -> "Hosting":
        """A host with an epoch of its own and a writer, over an old store or a new one; with
        `shards`, one of two that share them."""
        hosting = cls(await Writing.begin(store))
        epoch = await hosting.store.open_epoch(NODE)
        types = hosting.types = ActorTypes()
        types.register(Counter)
        clock = NodeClock(NODE, epoch.counter, {"elsewhere"})
        hosting.residents = Residents(
            hosting.store, types, capacity=capacity, observe=clock.observe
        )
        remembered = hosting.recent = Recent(recent)
        supervisor = hosting.supervisor = Supervisor(
            hosting.residents,
            strategy=strategy,
            now_s=asyncio.get_running_loop().time,
            random=Random(1).randbytes,
            escalate=hosting.escalated.append,
            count=lambda actor_type, became: hosting.became.append(became),
        )
        decider = hosting.decider = Decider(
            clock,
            hosting.residents,
            remembered,
            supervisor=supervisor,
            snapshot_frequency=frequency,
            now_us=lambda: hosting.now_us,
        )
        hosting.mailbox = Mailbox(NODE, mailbox)
        hosting.metrics = HostMetrics(Metrics(NODE, None), NODE, lambda: AT_US)
        theirs = None
        if shards:
            table = await hosting.store.open_shards(SHARING)
            theirs = hosting.shards = Shards(
                table, hosting.store, epoch, name=NODE, pooled=SHARING, draw=lambda: next(_ids)
            )
        hosting.executor = Executor(
            hosting.store,
            hosting.mailbox,
            hosting.residents,
            decider,
            remembered,
            Journal(epoch, hosting.send_append),
            hosting.metrics,
            writer_back=hosting._wait_for_writer,
            name=NODE,
            shards=theirs,
        )
        hosting.running = asyncio.ensure_future(hosting.executor.run())
        return hosting

    types: ActorTypes
    metrics: HostMetrics
    supervisor: Supervisor
    decider: Decider
    recent: Recent
    residents: Residents
    mailbox: Mailbox
    executor: Executor
    shards: Shards
    running: "asyncio.Task[None]"

    async def send_append(self, append: Append) -> Acknowledged:
        """The way to the writer; a test may put another in its place on the instance."""
        self.appends.append(append)
        return await self.way(append)

    async def way(self, append: Append) -> Acknowledged:
        """What `send_append` goes by."""
        return await self.writing.writer.append(append)

    def send(
        self,
        *commands: list[Any],
        clock: dict[str, int] | None = None,
        again: bool = False,
        version: int = 0,
    ) -> Batch:
        """A batch on its way; its `answer` comes later."""
        request = Request(
            b"driver", self.generation, self._sequence, clock or {}, True, list(commands), again,
            version,
        )  # fmt: skip
        self._sequence += 1
        return self.mailbox.put(request)

    async def deliver(self, *commands: list[Any], clock: dict[str, int] | None = None) -> Answer:
        """A batch, and what became of it."""
        return unpack_answer(await self.send(*commands, clock=clock).answer)

    def register(self, actor: type[Actor[Any]]) -> None:
        """Know a class from now on, as Host.register does."""
        replaced = self.types.register(actor)
        if replaced is not None:
            self.decider.forget_type(replaced)

    def begin_generation(self) -> None:
        """After a failure: a driver begins anew."""
        self.generation, self._sequence = self.generation + 1, 0

    async def ask(self, source: str, message: Command, **changes: Any) -> list[Event]:
        """One command, its events."""
        return read_events(await self.deliver(command(source, message, **changes)), 0)

    async def start(self, source: str) -> list[Event]:
        """Have a stopped actor take commands again."""
        return read_events(
            await self.deliver(command(source, START, data={"reason": "seen to"})), 0
        )

    async def stop(self, source: str) -> list[Event]:
        """Have an actor take no commands."""
        return read_events(await self.deliver(command(source, STOP, data={"reason": "a test"})), 0)

    async def total(self, source: str) -> int:
        """What a counter has counted, by its own state."""
        answer = await self.deliver(command(source, STATE))
        total: int = unpack_state(answer)["state"]["total"]
        return total

    async def log(self, source: str) -> list[Event]:
        """What the log has of a source."""
        return await self.store.load_events(aggregate_id_of(source))

    async def _wait_for_writer(self) -> None:
        await self.writer_back.wait()


def totals(events: list[Event]) -> list[Any]:
    """What was counted, event by event."""
    return [event.data["total"] for event in events]


def versions(events: list[Event]) -> list[int | None]:
    """The versions, event by event."""
    return [event.version for event in events]


async def intrude(host: Hosting, source: str, version: int, event_type: str = "counted") -> None:
    """Somebody else appends to an aggregate of this host."""
    event = made_event(source, version, event_type=event_type, data={"total": version})
    node = await host.store.open_epoch(f"intruder-{version}")
    append = Append(
        node=node.name,
        epoch=node.number,
        generation=0,
        sequence=0,
        tick=1,
        rows=EncodedRows.of([encode_event(event)]),
        types={},
    )
    await host.writing.writer.append(append)
