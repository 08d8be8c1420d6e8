"""The drivers of a simulation: what they do by their plan, with the runtime's own driver."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from actors.actor import Actor, Command
from actors.clock import VectorClock
from actors.errors import ThornbackError
from actors.event import DeviceEvent, Event
from actors.ids import event_id
from runtime.driver.connection import Connection
from runtime.driver.publishing import publish, publish_fields
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.errors import ConnectionClosed
from runtime.wire.answers import read_events
from runtime.wire.commands import DATA
from tests.simulation import devices, shipped
from tests.simulation.broadcasts import broadcast
from tests.simulation.bulk_calls import bulk
from tests.simulation.dropping import forget
from tests.simulation.erasing import erase
from tests.simulation.finds import find_own
from tests.simulation.followers import follow
from tests.simulation.history import Call, History, seen
from tests.simulation.lives import live
from tests.simulation.messages import listen_or_stop
from tests.simulation.plan import ACTIVE_S, Step
from tests.simulation.programs import run_or_stop
from tests.simulation.readers import read
from tests.simulation.rebuilds import begin_sightings, build_anew, look
from thornback.simulation.draws import stream
from thornback.simulation.scheduler import Owner
from thornback.simulation.simulated_world import BEGIN_US, SimulatedCourier, SimulatedWorld

#: How much later than its deadline a call may end: an answer that arrives in that moment.
SLACK_S = 0.5

_HAPPENED = datetime(2024, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


#: Of actors that hosts know by their modules; the rest is published, or has classes brought along.
_CLASSES: dict[str, type[Actor[Any]]] = {
    "ledger": devices.Ledger, "vault": devices.Vault, "bell": devices.Bell,
    "tenant": devices.Tenant, "pump": devices.Pump,
}  # fmt: skip


class Published(DeviceEvent):
    """An event from outside."""

    token: int


class Driver:
    """One driver process: its connections, one after another, and its strands of work.

    More than fifteen fields: half of them are what it is made with, and set once.
    """

    def __init__(
        self,
        name: str,
        holder: Owner,
        connect: Callable[[], tuple[Connection, SimulatedWorld, SimulatedCourier]],
        history: History,
        ids: dict[int, bytes],
        timeout_s: float,
        log_head: Callable[[], int],
        stored: Callable[[bytes], bool],
        begun: Callable[[Step], None],
    ) -> None:
        # What it has from the simulation:
        self.name = name
        self.holder = holder  #: its callbacks are this owner's, and die with it
        self._connect = connect
        self._history = history  #: where it notes what it sees
        self._ids = ids  #: of the commands of all drivers, by the number of their step
        self._timeout_s = timeout_s  #: in which a single call has to end
        self.log_head = log_head  #: where the log really stands
        self._stored = stored  #: is the first event of a command in the log?
        self._begun = begun  #: is told of each step that begins
        # What becomes of it:
        self._number = 0  #: of its connection
        self._revision = 1  #: of the class that it brings along
        self._older_asked = 0  #: commands under the older class that are not answered
        self.tasks: list[asyncio.Task[Any]] = []  #: its strands, and all that they began
        self.dead = False  #: it was killed
        self.position = 0  #: that its last subscription came to
        self.begin()

    # The present connection, the world that it is in, and the loop that it works in.
    connection: Connection
    world: SimulatedWorld
    courier: SimulatedCourier

    def begin(self) -> None:
        """A new connection: to those who look at it, another driver."""
        self._number += 1
        self.label = f"{self.name}.{self._number}"
        self.connection, self.world, self.courier = self._connect()

    def move(self) -> None:
        """Go on with the system that runs now."""
        self.connection.close()
        self._history.closed.add(self.label)
        self.begin()

    def work(self, strands: list[list[Step]]) -> None:
        """Begin all strands."""
        for strand in strands:
            self.start(self._strand(strand))

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Something of this driver, beside its strands."""
        task = self.holder.create_task(work)
        self.tasks.append(task)
        return task

    async def _strand(self, steps: list[Step]) -> None:
        for step in steps:
            await asyncio.sleep(step.pause_s)
            if self.holder.loop.time() > ACTIVE_S:
                return
            work = self.start(self._step(step))
            if step.waits:
                await asyncio.wait({work})

    @property
    def history(self) -> History:
        """Where it notes what it sees."""
        return self._history

    async def _step(self, step: Step) -> None:
        self._begun(step)
        match step.kind:
            case "ask" | "repeat":
                await self.ask(step)
            case "tell":
                self.tell(step)
            case "state":
                await self.state(step.source)
            case "publish":
                await self.publish(step)
            case "burst":
                await self._burst(step)
            case "close":
                await self._close(step)
            case "upgrade":
                await self._upgrade(step)
            case "bulk":
                await bulk(self, step)
            case "feed":
                await self._feed(step)
            case "claim":
                await self._claim(step)
            case "flush":
                await self.flush()
            case kind:
                await _ELSEWHERE[kind](self, step)

    async def ask(self, step: Step, actor: type[Actor[Any]] | None = None) -> Call:
        """One command, and its answer."""
        ref = self.ref(step.source, actor)
        call = self.called(step, "ask")
        call.revision = self._revision if actor is not None else 0
        await self._answered(call, lambda: ref.ask(self.message(step), id=UUID(bytes=call.id)))
        return call

    def tell(self, step: Step) -> None:
        """One command without an answer."""
        call = self.called(step, "tell")
        try:
            self.ref(step.source).tell(self.message(step), id=UUID(bytes=call.id))
        except Exception as error:
            self.failed(call, error)
        call.ended_s, call.ended = call.sent_s, call.moment

    async def state(self, source: str) -> Call:
        """What an actor says of its state."""
        step = Step(0, 0.0, "state", source)
        call = self.called(step, "state")
        try:
            state = await self.ref(source).state()
        except Exception as error:
            self.failed(call, error)
        else:
            call.state = {"tokens": list(_tokens(state)), "latest": _latest(state)}
            self.ended(call)
        return call

    async def publish(self, step: Step) -> Call:
        """An event from outside."""
        call = self.called(step, "publish")
        metadata = {"place": "here\x00" if step.fields.get("bad") == "metadata" else "here"}
        event = Event.of(
            Published(token=step.fields["token"]),
            source=step.source,
            id=UUID(bytes=call.id),
            timestamp=self._happened(step.number),
            metadata=metadata,
        )
        elsewhere = {
            f"elsewhere-{step.number}-{n}": n + 1 for n in range(step.fields.get("nodes", 0))
        }
        event = msgspec.structs.replace(event, vector_clock=VectorClock(elsewhere))
        if step.fields.get("bad") == "type":
            await self._answered(call, lambda: self._publish_hostile(event))
        else:
            await self._answered(call, lambda: publish(self.connection, event))
        return call

    def _happened(self, number: int) -> datetime:
        """When what is published had happened: long after all else of a simulation, whose event
        time comes to its end with that; or, in most of them, about now."""
        if stream(self.holder.loop.seed, "published").random() < 0.3:
            return _HAPPENED
        draw = stream(self.holder.loop.seed, "published", number)
        now_us = BEGIN_US + int((self.holder.loop.time() + draw.uniform(-3.0, 0.5)) * 1e6)
        return datetime.fromtimestamp(now_us / 1e6, UTC)

    def _publish_hostile(self, event: Event) -> Reply[list[Event]]:
        """As a program does that looks at nothing: the event's type has more bytes than the
        database's index takes."""
        source, *fields = publish_fields(event)
        fields[DATA - 1] = {**fields[DATA - 1], "event_type": "\u4e00" * 1024}
        add = self.connection.channels.add
        outgoing, index = add((source, *fields), None, want_events=True)
        return Reply(outgoing, index, read_events)

    async def flush(self) -> None:
        """Wait for all that was sent."""
        label = self.label
        try:
            await self.connection.flush()
        except ConnectionClosed:
            if label not in self._history.closed:
                raise

    def burst(self, parts: tuple[Step, ...]) -> None:
        """Begin a burst that is no step of its strands."""
        self.start(self._burst(Step(0, 0.0, "burst", parts=parts)))

    async def _burst(self, step: Step) -> None:
        if step.parts and step.parts[0].kind == "tell":
            for part in step.parts:
                self.tell(part)
            return
        asking = [self.start(self._no_result(self.ask(part))) for part in step.parts]
        await asyncio.wait(asking)

    async def _feed(self, step: Step) -> None:
        """Batches that each repeat the last command of the one before."""
        last: Step | None = None
        for part in step.parts:
            again = () if last is None else (replace(last, repeats=last.number),)
            asking = [self.start(self._no_result(self.ask(one))) for one in (*again, part)]
            await asyncio.wait(asking)
            last = part

    async def _claim(self, step: Step) -> None:
        """Publish under the id that a command's second event would have, and then send that
        command among others."""
        publishing, *asking = step.parts
        culprit = step.more["culprit"]
        command_id = self._ids[culprit] = self.connection.new_id()
        self._ids[publishing.number] = event_id(command_id, 1)
        if (await self.publish(publishing)).events is None:
            return  # whether the id is taken is open
        self._history.claimed.add(command_id)
        await asyncio.wait([self.start(self._no_result(self.ask(part))) for part in asking])

    async def _upgrade(self, step: Step) -> None:
        """Have hosts know a newer class, once everything under the older one is answered."""
        for part in step.parts:
            older = self._revision == 1
            self._older_asked += older
            await self.ask(part, shipped.Shipped1 if older else shipped.Shipped2)
            self._older_asked -= older
        if not self._older_asked:
            self._revision = 2

    async def _close(self, step: Step) -> None:
        """Close the connection, use it after that, and go on with a new one."""
        self.connection.close()
        self._history.closed.add(self.label)
        call = self.called(step, "ask")
        call.after_close, call.deadline_s = True, call.sent_s + SLACK_S
        ref = self.ref(step.source)
        self.begin()
        await self._answered(call, lambda: ref.ask(self.message(step), id=UUID(bytes=call.id)))

    async def _answered(self, call: Call, ask: Callable[[], Reply[list[Event]]]) -> None:
        try:
            reply = ask()
            events = await reply
        except Exception as error:
            self.failed(call, error)
        else:
            call.events, call.repeated = [seen(event) for event in events], reply.repeated
            self.ended(call)

    def ref(self, source: str, actor: type[Actor[Any]] | None = None) -> ActorRef[Any]:
        """Whom this driver speaks to."""
        if actor is None:
            actor = _CLASSES.get(source.partition("/")[0])
        return ActorRef(self.connection, actor, source)

    def message(self, step: Step) -> Command:
        """What a step sends; its fields are not looked at before the host does."""
        model: type[Command] = getattr(devices, step.message)
        return model.model_construct(**step.fields)

    def id_of(self, number: int) -> bytes:
        """The id that a step of this number has, whoever takes it first."""
        if number not in self._ids:
            self._ids[number] = self.connection.new_id()
        return self._ids[number]

    def called(self, step: Step, kind: str) -> Call:
        """A call is made."""
        wanted = step.number if step.repeats is None else step.repeats
        if wanted not in self._ids or not wanted:
            # A published event's id is its sender's own: drawn in one row with the ids of
            # commands it could be that of another command's first event.
            publishes = kind == "publish"
            self._ids[wanted] = self.world.random(16) if publishes else self.connection.new_id()
        return self.called_as(step, kind, step.source, self._ids[wanted])

    def called_as(self, step: Step, kind: str, source: str, id: bytes) -> Call:
        """A call is made of somebody, under this id."""
        now = self.holder.loop.time()
        call = Call(
            number=len(self._history.calls), driver=self.label, kind=kind, source=source,
            message=step.message, fields=step.fields, id=id, sent_s=now,
            deadline_s=now + self._timeout_s + SLACK_S, moment=self._history.moment(),
        )  # fmt: skip
        self._history.calls.append(call)
        return call

    def stored(self, command_id: bytes) -> bool:
        """Is the first event of a command in the log?"""
        return self._stored(command_id)

    def ended(self, call: Call) -> None:
        """It has ended."""
        call.ended_s, call.ended = self.holder.loop.time(), self._history.moment()

    def failed(self, call: Call, error: Exception) -> None:
        """It has ended with an error."""
        self.ended(call)
        call.error = type(error).__name__
        call.arguments = tuple(map(str, error.args))
        if not isinstance(error, ThornbackError):
            self._history.complain(f"call {call.number} raised no error of ours: {error!r}")

    async def _no_result(self, work: Coroutine[Any, Any, Any]) -> None:
        await work


def _tokens(state: Any) -> list[int]:
    tokens: list[int] = state["tokens"] if isinstance(state, dict) else state.tokens
    return tokens


def _latest(state: Any) -> Any:
    return state["latest"] if isinstance(state, dict) else state.latest


#: Steps that are taken in modules of their own.
_ELSEWHERE = {
    "subscribe": read, "follow": follow, "program": run_or_stop, "listen": listen_or_stop,
    "begin sightings": begin_sightings, "rebuild": build_anew, "look": look, "find": find_own,
    "broadcast": broadcast, "forget": forget, "life": live,
    "erase": erase,
}  # fmt: skip
