"""The host: a Ray actor that runs device actors.

Pooled, it runs thousands; dedicated, exactly one, and is named after it. It is the same
class; placement is a setting of the actor type.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping
from typing import Any

from actors.actor import Command as Message
from actors.event import Event
from actors.ids import time_ordered_id
from actors.naming import actor_type_of
from runtime.clocks import NodeClock
from runtime.errors import (
    HostFailed,
    HostUnavailable,
    InvalidMessage,
    MailboxFull,
    StartFailed,
    UnknownActorType,
)
from runtime.host.batch import Batch
from runtime.host.blocked import Blocked
from runtime.host.decision import Decider
from runtime.host.executor import Executor
from runtime.host.handler_watch import HandlerWatch, TimeLimits
from runtime.host.host_metrics import HostMetrics
from runtime.host.idling import Idling
from runtime.host.interruptible import Interruptible
from runtime.host.mailbox import Mailbox
from runtime.host.recent import Recent
from runtime.host.registration import Registration
from runtime.host.residents import Residents
from runtime.host.shards import Shards
from runtime.host.supervision import Supervisor
from runtime.partition.journal import Journal
from runtime.partition.writer_link import WriterLink
from runtime.process.deliverer_call import DelivererCall, TimekeeperCall
from runtime.process.partitioning import node_ids_of
from runtime.process.process import Process
from runtime.process.world import World
from runtime.topology.names import PROMOTED_NODE, host_name, possible_nodes, promoted_shard
from runtime.topology.status import FailureRecord, HostFacts
from runtime.wire.answers import events_of, raise_error, unpack_state
from runtime.wire.commands import (
    SOURCE,
    STATE,
    CommandPacker,
    introduced,
    pack_request,
    turned_away,
    unpack_answer,
)
from runtime.wire.error_codec import encode_error, text_of_error
from runtime.wire.reading import unpack_request
from runtime.wire.type_descriptions import TypeDescription
from runtime.wire.values import members
from store.errors import StaleEpoch, StoreError, StoreUnavailable
from store.event_store import Epoch
from store.shards import ShardTable

logger = logging.getLogger("thornback.host")

_REPLACED = "a newer incarnation took over"


class Host(Process):
    """Runs the actors of its shards, or the one actor `source` it is dedicated to."""

    SERVES = ("deliver",)
    #: Commands whose outcome is kept in memory, to answer a repeat without the log.
    RECENT = 20_000
    #: How long answers that are under way may take to leave a host that ends.
    LAST_S = 1.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        source: str | None = None,
        actor: bytes | None = None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._source = source  #: whom it is dedicated to; None: pooled
        # From `start` on, as what else is made there; `register` may come before.
        self._decider: Decider | None = None
        # Before it has started, too: classes come with its constructor, batches at any time.
        refuses = self.settings.actor_system.changed_schemas == "refuse"
        self._classes = Registration(name, refuse_changed=refuses)
        for module in ("actors.devices", *self.settings.actor_system.actor_modules):
            self._classes.know_module(module)
        if actor is not None:
            self._classes.know_own(actor)
        self._mailbox = Mailbox(name, self.settings.actor_system.mailbox_size)
        self._replaced = False  #: a newer incarnation took over; there is no way back
        self._own_sequence = 0  #: calls by plain Ray: each is a driver of its own

    async def start(self) -> None:
        settings = self.settings.actor_system
        if self._classes.unusable is not None:
            raise StartFailed(self.name, self._classes.unusable)
        self._store = await self.world.open_store(self.settings)
        try:
            epoch = await self._store.open_epoch(self.node, self.world.holder(self.settings))
            self._shards = await self._shards_of(epoch)
            nodes = await self._store.nodes() | possible_nodes(
                node_ids_of(self.settings), settings.hosts, settings.placement
            )
        except BaseException:
            await self._store.close()
            raise
        self._incarnation = epoch.number
        notes = self.world.notes()
        work = Interruptible(Blocked(self.world.now_us, notes))
        work.blocked.begin(restarted=self.world.restarted())
        clock = NodeClock(self._label, epoch.counter, nodes)
        self._residents = Residents(
            self._store, self._classes.types, capacity=settings.max_actors, observe=clock.observe,
            work=work,
        )  # fmt: skip
        recent = Recent(self.RECENT)
        self._metrics = HostMetrics(self.metrics, self._label, self.world.now_us)
        writer = WriterLink(self.world, patience_s=settings.actor_timeout_ms / 2000)
        supervisor = Supervisor(
            self._residents,
            strategy=settings.supervisor_strategy,
            now_s=asyncio.get_running_loop().time,
            random=self.world.random,
            escalate=self._escalated,
            count=self._metrics.actors.failed,
        )
        self._decider = Decider(
            clock,
            self._residents,
            recent,
            supervisor=supervisor,
            snapshot_frequency=self.settings.event_store.snapshot_frequency,
            now_us=self.world.now_us,
        )
        self._executor = Executor(
            self._store,
            self._mailbox,
            self._residents,
            self._decider,
            recent,
            Journal(epoch, writer.append),
            self._metrics,
            writer_back=writer.wait_back,
            name=self.name,
            shards=self._shards,
        )
        deliverer = DelivererCall(self.world, self.must_live)
        timekeeper = TimekeeperCall(self.world, self.must_live, self._store)
        self._decider.met.on_first = {each.EVENT_TYPE: each.say for each in (deliverer, timekeeper)}
        self._decider.on_started = self._classes.on_class = timekeeper.wake
        try:
            await self._classes.begin(self._store, self._residents, self._decider, self._source)
            await deliverer.say_if_any(self._store)
            await timekeeper.say_if_any(self._store)
        except BaseException:
            await self._store.close()
            raise
        limits = TimeLimits(self._classes.types, settings.actor_timeout_ms / 1000)
        self._watch = HandlerWatch(work, limits, self._metrics.actors, self.world, notes)
        self.world.beside(self._watch.watching())
        self.must_live(self._run())
        if settings.max_idle_ms:
            self.must_live(self._passivate(Idling(settings.max_idle_ms / 1000)))

    async def deliver(self, request: bytes) -> bytes:
        """Run a batch of commands (wire/commands.py). The answer comes when all of it is
        durable; whatever goes wrong, there is one."""
        try:
            await self.ensure_at_work()  # a driver sends it again for as long as its callers wait
            if self._replaced:
                raise HostUnavailable(self.name, _REPLACED)
            batch = self._mailbox.put(unpack_request(request), len(request))
        except (StoreUnavailable, HostUnavailable, MailboxFull, InvalidMessage) as error:
            return turned_away(encode_error(error))
        except Exception as error:
            logger.exception("%s: a request could not be taken", self.name)
            return turned_away(encode_error(HostFailed(self.name, text_of_error(error))))
        # What is counted is counted behind what is done: the batch is begun, and answered, first.
        soon = asyncio.get_running_loop().call_soon
        soon(self._count_waiting)
        try:
            answer = await batch.answer
        finally:
            soon(self._count_waiting)
        # Drivers tell the classes that they send to each incarnation once.
        return answer if batch.commands else introduced(answer, self._incarnation)

    async def register(self, actor: bytes) -> None:
        """Know an actor class (cloudpickled) from now on: no command that is decided later
        meets the class that it replaces. Actors of its name are rebuilt from the log before
        their next command. The same bytes again change nothing.

        Raises InvalidActor for a class that is none, that would ignore events which the log has
        of its actor type, that cannot read the history of an actor which is resident, or that is
        another than the one which decides that type."""
        await self.ensure_started()
        await self._classes.register(actor)

    async def give_shards(self, shards: list[int], to: str) -> ShardTable:
        """Give those of these shards that this host has to another one, which loads their actors
        when they are sent something. All that was decided before for any actor here is answered
        first; what waits, or comes meanwhile, is decided behind that, and for an actor that has
        left it is answered ActorsMoved.
        Returns the table as it is then. Raises HostUnavailable where it is not known to have
        happened; it may be asked for again, then, and done in part or twice it is the same."""
        await self.ensure_started()
        if self._replaced or self._shards is None:
            raise HostUnavailable(self.name, _REPLACED if self._replaced else "it has no shards")
        leaving = self._shards.leave(shards, to)
        self._mailbox.wake()
        try:
            return await leaving
        except StoreError as error:
            raise HostUnavailable(self.name, f"shards may not have left: {error}") from error

    async def learn_shards(self) -> None:
        """Others have given this host shards: it finds out now, and not with the first command of a
        driver that knows. Raises StoreUnavailable."""
        await self.ensure_started()
        if self._shards is not None:
            await self._shards.learn()

    async def shard_table(self, *, anew: bool = False) -> ShardTable | None:
        """Which host has which shard, as far as this one knows; None if it is dedicated. `anew`: as
        the store says. Raises StoreUnavailable."""
        await self.ensure_started()
        if self._shards is None:
            return None
        return await self._shards.learn() if anew else self._shards.table

    async def shard_loads(self) -> Mapping[int, float]:
        """So many commands a second, about, came for each shard lately (host/shard_loads.py)."""
        await self.ensure_started()
        return {} if self._shards is None else self._shards.loads.per_second()

    async def offer(self, actor_type: str, actor: bytes) -> None:
        """Know a class that other hosts were sent, unless one of its type is known: whoever
        brings it has not made it, and there may be a later one. Raises what `register` raises."""
        await self.ensure_started()
        await self._classes.offer(actor_type, actor)

    async def sent_classes(self) -> dict[str, bytes]:
        """The classes that this host was sent, by actor type, as they came."""
        await self.ensure_started()
        return dict(self._classes.types.sent)

    async def describe(self, known: Mapping[str, str]) -> list[TypeDescription]:
        """The actor types that are decided here, for programs without their classes; less those
        whose fingerprint is the `known` one."""
        await self.ensure_started()
        return self._classes.describe(known)

    async def failures(self) -> list[FailureRecord]:
        """What was answered with an error since this incarnation began, by type."""
        await self.ensure_started()
        return self._metrics.failures.records()

    async def ask(self, message: Message, source: str | None = None) -> list[Event]:
        """Plain Ray: one message, its events. A dedicated host needs no `source`."""
        fields = (self._target(source), message.message_type, self._new_id(), self.world.now_us(),
                  members(message), None, None)  # fmt: skip
        return events_of(await self._deliver_one(fields))

    async def state(self, source: str | None = None) -> dict[str, Any]:
        """Plain Ray: the actor's durable state in JSON's types, and its version."""
        fields = (
            self._target(source),
            STATE,
            self._new_id(),
            self.world.now_us(),
            None,
            None,
            None,
        )
        return unpack_state(await self._deliver_one(fields))

    def about(self) -> str | None:
        """The actor whose handler has printed or logged something."""
        if self._decider is None:
            return None
        work = self._decider.work
        if threading.get_ident() != work.thread or (at := work.at) is None:
            return None
        return str(at[SOURCE])

    async def _passivate(self, idling: Idling) -> None:
        """Have actors leave memory that have nothing to do, also where nobody sends anything."""
        now_s = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(idling.every_s)
            if (through := idling.note(now_s(), self._mailbox.last)) is not None:
                self._executor.evict_idle(through)

    async def drain(self) -> int:
        """Answer everything that arrived; how many actors were resident."""
        await self.ensure_started()
        # Both of what has come by now: under steady load each takes as long as one answer does.
        await asyncio.gather(self._mailbox.wait_answered(), self.wait_flushed())
        return len(self._residents)

    async def facts(self) -> HostFacts | None:
        if not self._started:
            return None
        return HostFacts(
            commands=self._metrics.commands,
            residents=len(self._residents),
            evicted=self._residents.evicted,
            unanswered=self._mailbox.unanswered,
            slow=self._metrics.actors.slow,
            actor_types=tuple(self._classes.types.names()),
            code=self._classes.code(),
            source=self._source,
            shards=0 if self._shards is None else len(self._shards.table.of(self.name)),
        )

    async def _shards_of(self, epoch: Epoch) -> Shards | None:
        """Those of a pooled host, as they are once its epoch has begun: from then on nobody but
        this incarnation gives any of them away."""
        if self._source is not None:
            return None
        pooled = self._pooled()
        return Shards(
            await self._store.open_shards(pooled),
            self._store,
            epoch,
            name=self.name,
            pooled=pooled,
            draw=lambda: int.from_bytes(self.world.random(7)) + 1,
        )

    def _pooled(self) -> list[str]:
        """The pooled hosts of the system as it was launched."""
        return [host_name(number) for number in range(self.settings.actor_system.hosts)]

    def _count_waiting(self) -> None:
        self._metrics.waiting(self._mailbox.unanswered)

    async def _run(self) -> None:
        try:
            await self._executor.run()
        except StaleEpoch as stale:
            logger.error("%s: a newer incarnation took over: this one is done", self.name)
            self._replaced = True
            self._mailbox.close(HostUnavailable(self.name, _REPLACED))
            if self._shards is not None:
                self._shards.end(stale)
            await self.outlive_fence(self._store, stale)

    def _escalated(self, batch: Batch) -> None:
        self.must_live(self._end_behind(batch))

    async def _end_behind(self, batch: Batch) -> None:
        """An actor's failure was escalated beyond this host: end, for Ray to start it anew. Not
        before whoever sent that command has its answer: it would send the same one again."""
        await asyncio.wait({batch.answer})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait_flushed(), self.LAST_S)
        raise HostFailed(self.name, "a failure was escalated to it, and beyond it")

    async def _deliver_one(self, fields: tuple[Any, ...]) -> Any:
        await self.ensure_started()
        version, shards = 0, self._shards
        if shards is not None:  # whoever calls has no table: this is the way by the present one
            version = shards.table.version
            if moved := shards.moved(fields[SOURCE], version):
                raise moved
        request = pack_request(
            b"host" + self._own_sequence.to_bytes(8, "big"), 0, 0, {}, True,
            [CommandPacker().pack(fields)], False, version,
        )  # fmt: skip
        self._own_sequence += 1
        answer = unpack_answer(await self.deliver(request))
        raise_error(answer, 0)
        return answer

    def _new_id(self) -> bytes:
        unix_ms = self.world.now_us() // 1000
        return time_ordered_id(unix_ms, int.from_bytes(self.world.random(10)))

    @property
    def _label(self) -> str:
        """This host's name in clocks and metrics: of a dedicated one the actor type, never
        the device, and one for all promoted ones, so that neither grows with the fleet."""
        if promoted_shard(self.name) is not None:
            return f"{self.settings.event_bus.node_id}.{PROMOTED_NODE}"
        if self._source is None:
            return self.node
        return f"{self.settings.event_bus.node_id}.{actor_type_of(self._source)}"

    def _target(self, source: str | None) -> str:
        if source is None and self._source is None:
            raise UnknownActorType("(a pooled host: say which source)")
        return source or self._source or ""
