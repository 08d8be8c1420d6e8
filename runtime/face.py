"""What a driver does with a system of one partition that it is connected to: speak to actors, read
the log, run programs, and see to its processes."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, Self, TypeVar, overload
from uuid import UUID

from actors.actor import Actor, Command, described
from actors.event import Event
from actors.moments import checked_us, moment_of
from actors.naming import checked_type_name, source_of
from runtime.driver import blocking
from runtime.driver.advice import advised
from runtime.driver.as_of import state_as_of
from runtime.driver.beyond_head import say_beyond
from runtime.driver.broadcasting import broadcast
from runtime.driver.bulk import BulkResult, Item
from runtime.driver.connection import Connection
from runtime.driver.courier import SameLoop
from runtime.driver.erasing import erase_actor
from runtime.driver.explaining import explain_event
from runtime.driver.life import start_actor, stop_actor
from runtime.driver.promoting import demote, pooled_shard, promote
from runtime.driver.publishing import publish
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.scaling import STEP_S, ScalingStep, checked_hosts, scale
from runtime.driver.selecting import checked_seconds, selection_of
from runtime.driver.starting import Start, check_live, check_named, checked_start, position_of
from runtime.driver.subscription import Subscription
from runtime.driver.unknown_types import LOOK_S, say_unknown
from runtime.errors import AskTimeout, HostUnavailable
from runtime.process.no_waiting import in_a_loop
from runtime.process.world import World
from runtime.processing.dead_letters import (
    DeadLetters,
    Replayed,
    drop_dead_letters,
    list_dead_letters,
    replay_dead_letters,
)
from runtime.processing.durable_subscription import DurableSubscription
from runtime.processing.finding import USUAL, Found, find, index
from runtime.processing.group_subscription import GroupSubscription
from runtime.processing.rebuilding import rebuild
from runtime.processing.running import resume_program, run_program, stop_program
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.placement import checked_shards
from runtime.topology.status import DrainReport, Progress, Status, Topology
from store.causality import LIMIT, Explanation
from store.erasures import ErasureReceipt
from store.event_store import EventStore
from store.shards import ShardTable
from streams.programs import Runnable

S = TypeVar("S")


def _as_it_is(topology: Topology) -> Topology:
    return topology


class Face:
    """What `ActorSystem` does by its one connection. It ends with `close`, or as a context manager
    (the system itself runs on)."""

    #: For the answers of all processes; each has a limit of its own, which is smaller.
    STATUS_S = 30.0
    #: Of that, so long for a directory that is away.
    AWAY_S = 20.0
    #: Of the first of several partitions: the connections to the others, whose logs may know a name
    #: that its own does not. None: of another one, for which the first one asks.
    logs_beside: Sequence[Connection] | None = ()
    #: How long the directory may take to say that something has not come about in its time.
    SAYS_S = 5.0

    @advised("ActorSystem.connect() connects to one that runs, ActorSystem.launch() starts one")
    def __init__(
        self,
        topology: Topology,
        world: World | None = None,
        adapted: Callable[[Topology], Topology] | None = None,
        beside: Connection | None = None,
    ) -> None:
        """`beside` is a connection to another partition of the same system: it is closed after
        this one, and they share a loop."""
        adapted = adapted or _as_it_is
        courier = None if beside is None else SameLoop(beside.courier)
        self.connection = Connection(adapted(topology), world, courier, adapted=adapted)
        self.namespace = self.connection.namespace

    @property
    def settings(self) -> Settings:
        """The system's, as it was launched last."""
        return self.connection.settings

    @overload
    def actor(self, actor: type[Actor[S]], name: str) -> ActorRef[S]: ...
    @overload
    def actor(self, actor: str, name: str) -> ActorRef[Any]: ...
    def actor(self, actor: type[Actor[Any]] | str, name: str) -> ActorRef[Any]:
        """The actor `name` of a class, or of a type name the hosts know. No I/O yet.

        Raises InvalidName, or InvalidActor for a class that is not well formed.
        """
        if isinstance(actor, str):
            return ActorRef(self.connection, None, source_of(checked_type_name(actor), name))
        described(actor)
        return ActorRef(self.connection, actor, source_of(actor.actor_type, name))

    @advised("it takes a list of pairs, ask_many([(ref, message)])")
    def ask_many(
        self, items: Iterable[Item], *, patience_s: float = 60.0, ahead: int = 20_000
    ) -> Iterator[Reply[list[Event]]]:
        """Ask many actors: items are `(ref, message)` or `Send`. Yields the replies in the
        order of the items, each done when it is yielded; nothing is sent before the first step,
        and where nobody takes it, that is logged.

        At most `ahead` items are read before the first unanswered one. Hosts and database
        may go away for up to `patience_s` after a batch was sent; its commands are then sent
        again with their ids. What is unanswered then fails, and its outcome is open. What the
        iterable raises is raised here, behind the replies of all that was taken. Who leaves it
        before its end has sent only a part of what was read; the log says what was not sent.
        Raises ValueError, with the first step, for a `patience_s` that is no number of seconds.
        """
        return blocking.ask_many(items, patience_s=patience_s, ahead=ahead)

    @advised("it takes a list of pairs, tell_many([(ref, message)])")
    def tell_many(
        self,
        items: Iterable[Item],
        *,
        patience_s: float = 60.0,
        progress: Callable[[BulkResult], None] | None = None,
    ) -> BulkResult:
        """Send many commands and return when every one is durable, or has failed.

        `progress` is called in the calling thread, after answered batches. Blocks the caller
        while too much is unanswered, so the iterable may be endless data. What the iterable
        or `progress` raises is raised here, when all that was taken is settled. Raises
        ConnectionClosed when the connection is closed meanwhile. Otherwise like `ask_many`.
        """
        return blocking.tell_many(items, patience_s=patience_s, progress=progress)

    def broadcast(
        self,
        message: Command,
        actor: type[Actor[Any]] | str,
        *,
        id: UUID | bytes | None = None,
        patience_s: float = 60.0,
    ) -> BulkResult:
        """Send a message to every actor of a type that the log knows, resident or not, and return
        when each has answered, or has failed; how many there were stands in `commands`.

        It takes effect once at each: the ids of its commands derive from its own, fresh unless
        given. With the same `id` it may be repeated, after a failure or after the death of this
        program: it then reaches those that it has not reached. Who gets a first event while it
        runs may or may not be among them. Blocks the caller, like `tell_many`, and raises what
        that does; InvalidMessage for what the type does not handle, and StoreUnavailable where the
        log does not say who there is.
        """
        return broadcast(self.connection, message, actor, id, patience_s)

    def publish(self, event: Event) -> Reply[list[Event]]:
        """Put an event from outside any actor into the log (Event.of makes one).

        It becomes its source's next version; its id makes a repeat harmless. The reply is
        the event as committed. Raises InvalidData; the reply raises PublishRefused where
        the source belongs to an actor.
        """
        return publish(self.connection, event)

    @overload
    def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        kinds: str | Iterable[str] = (),
        after: Start = None,
        name: None = None,
        catch_up: bool = True,
        timeout_s: float | None = None,
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        kinds: str | Iterable[str] = (),
        after: Start = None,
        name: str,
        group: Literal[False] = False,
        timeout_s: float | None = None,
    ) -> DurableSubscription: ...
    @overload
    def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        kinds: str | Iterable[str] = (),
        after: Start = None,
        name: str,
        group: Literal[True],
        timeout_s: float | None = None,
    ) -> GroupSubscription: ...
    @advised(
        "several event types are a list, subscribe(['a', 'b']); whose events, says "
        "sources='type/name', and from where on, after=position"
    )
    def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        kinds: str | Iterable[str] = (),
        after: Start = None,
        name: str | None = None,
        group: bool = False,
        catch_up: bool = True,
        timeout_s: float | None = None,
    ) -> Subscription:
        """A stream of events: those after position `after` first (0: from the start of
        the log; a datetime: what was committed from then on), then live; without `after` those
        committed from now on.

        With a `name` it is durable (DurableSubscription): it goes on after its checkpoint, which is
        kept with the log, and `after` says only where one begins that is new. With `group=True` it
        is one member of a group of that name (GroupSubscription), which shares the aggregates among
        the programs that open it.

        With `catch_up=False` it is live only: where its reader falls behind what the bus keeps
        (`event_bus.buffer_size`), it raises Lagged, which says how many events were missed, and
        goes on behind them when it is iterated again.

        `*` in an event type or source stands for any text; `kinds` are "device", "system" and
        "business". From now on means: from before this call returns. So without `after` it blocks
        until the bus has said where the log stands, which takes it a millisecond: for `timeout_s`,
        or `actor_timeout_ms`, or one second where an event loop runs in this thread; with a moment
        or a name, until the log has said where that stands. It then raises SubscribeTimeout. A
        coroutine that must not block at all says `after=await system.head()`. Raises InvalidName,
        also for the name of a group, of one reader or of a stream program where another of these is
        asked for, SystemNotFound and ConnectionClosed, AnotherSelection for a name that selects
        something else, and ValueError for what is no position, no moment or no kind. A name of an
        event type, or of a type of device, that nobody knows is logged, mostly before this returns:
        for that, it asks the log about a name that no class of this program has, and waits for a
        second at most. So is an `after` beyond the end of the log, for which the bus is asked, and
        waited for, likewise."""
        selection = selection_of(event_types, sources, kinds)
        after, patience_s = checked_start(after), checked_seconds(timeout_s)
        check_live(catch_up, after, name)
        check_named(group, name)
        subscription: Subscription
        if name is None:
            subscription = Subscription(self.connection, selection, after, catch_up=catch_up)
        else:
            durable = GroupSubscription if group else DurableSubscription
            subscription = durable(self.connection, name, selection, after)
        looked = []
        if self.logs_beside is not None:
            looked.append(say_unknown(self.connection, selection, self.logs_beside))
        if isinstance(after, int) and name is None:
            looked.append(say_beyond(self.connection, after))
        waits = not isinstance(after, int) or name is not None
        if waits:
            subscription.wait_begun(self._patience_s() if patience_s is None else patience_s)
        for look in looked:
            if look is not None and (waits or not in_a_loop()):
                look.wait(LOOK_S)  # so that it is said before whoever is mistaken begins to wait
        return subscription

    def run(
        self,
        program: Runnable | type[Actor[Any]],
        *,
        workers: int | None = None,
        after: Start = 0,
    ) -> Reply[None]:
        """Have a stream program (a Handler, several Handlers that run together, an EventPipeline or
        a Projection) run in Ray actors of its own, on the log from its beginning, or from after a
        position, or from a moment (a datetime), or from now on (None), until it is stopped; where
        it has run before it goes on where it stood, and `after` says nothing.

        Its keys are dealt out over so many `workers`, at most 16 (`processing.pipeline_parallelism`
        of them); each is started anew where it ends, and each event takes effect once. One that
        runs under this name already runs on, if it is the same code in as many workers; otherwise
        it makes way for this one, with its checkpoints and states.

        So may a class of actors some of whose methods are marked `@listens`: their events come to
        the actors that they name, from then on; they have one worker.

        Of Handlers each goes on where it stood by itself; which of them has an event first, says
        its `priority` (streams/handlers.py).

        The reply is there when all workers are ready. It raises InvalidProgram for a program that
        is not well formed or does not start, or a handler that runs already where it is not to run
        from now on, and ValueError for what is no number of workers.
        """
        return run_program(self.connection, program, workers, after)

    @overload
    def stop(self, what: str) -> Reply[None]: ...
    @overload
    def stop(
        self, what: ActorRef[Any], *, reason: str = "", id: UUID | bytes | None = None
    ) -> Reply[list[Event]]: ...
    def stop(
        self, what: str | ActorRef[Any], *, reason: str = "", id: UUID | bytes | None = None
    ) -> Reply[None] | Reply[list[Event]]:
        """Stop a stream program, by its name, or an actor, by its ref.

        Of a program, the workers end when all that they have begun is committed. Its checkpoints
        and states stay, for when it is run again. The reply raises UnknownProgram, and NotPossible
        for a handler that runs together with others.

        An actor takes no commands from then on, whatever becomes of its host, until it is started:
        they are answered with ActorStopped. The reply is its event `actor-stopped`, or nothing
        where it was stopped already; it raises what `ask` raises, and `id` is what it is there.
        """
        if isinstance(what, str):
            return stop_program(self.connection, what)
        return stop_actor(what, reason, id)

    def start(
        self, ref: ActorRef[Any], *, reason: str = "", id: UUID | bytes | None = None
    ) -> Reply[list[Event]]:
        """Have an actor take commands again that was stopped, by its supervisor or by somebody: it
        is rebuilt from the log. The reply is its event `actor-started`, or nothing where it was not
        stopped; it raises what `ask` raises, and NotPossible where the actor was erased and that
        has not come to its end: call `erase` again first. `id` is what it is in `ask`."""
        return start_actor(ref, reason, id)

    def erase(
        self,
        ref: ActorRef[Any],
        reason: str,
        *,
        keys: Iterable[str] = (),
        patience_s: float = 60.0,
    ) -> Reply[ErasureReceipt]:
        """Remove an actor's data for good: from its events, of which positions, versions, ids,
        types and moments stay (tombstones), its snapshot, its timers and its dead letters; and what
        stream programs and projections keep of it, or have put out, under its source as their
        key, or under one of `keys`.

        Its host ends it first (`actor-erased`, behind all that was sent before); from then on what
        is sent to it is answered with ActorErased, until `start` lets it begin anew, with the next
        version. It may be called again, and does then what is left to do: after the death of this
        program, or to erase further keys. `patience_s` is how long host, bus or database may be
        away, for each of its steps. What it does not reach, says docs/howto/erase.md.

        The reply is the receipt, which `thornback verify --receipt` holds against the database. It
        raises NotPossible where the log has no event of the actor, and what `ask` and open_store
        raise; the actor may be over then all the same. Raises TypeError, ValueError for an empty
        reason or patience, and InvalidName for a key that is none."""
        patience = checked_seconds(patience_s)
        return erase_actor(ref, reason, keys, 60.0 if patience is None else patience)

    def resume(self, program: str, *, skip: bool = False) -> Reply[int]:
        """Have a stream program go on that stands at an event at which its code fails: with that
        event once more, or behind it; how many workers do. The reply raises UnknownProgram."""
        return resume_program(self.connection, program, skip=skip)

    def rebuild(self, projection: Runnable | str, *, workers: int | None = None) -> Reply[None]:
        """Build the table of a projection anew from the beginning, by this code, or, where only its
        name is given, by the code that runs: beside the one that readers see, by as many workers as
        that has, or so many. It takes its place at one instant when it has caught up, and the
        reply is there when it runs on; `thornback programs` shows how far NAME.rebuild is. If this
        program ends before, what is built stays, and whoever asks again goes on with it.

        Raises InvalidProgram for what is no projection; the reply raises NoProjection, and
        InvalidProgram where it stands at an event."""
        return rebuild(self.connection, projection, workers)

    def index(self, actor: type[Actor[Any]], *, workers: int | None = None) -> Reply[None]:
        """Have the index of an actor type run, by which `find` finds its actors, in so many
        workers: as many as it has, where none are said, or one. `find` begins it by itself where
        nobody has. Its class names the fields in `indexes`; where these are others than before, it
        is built anew. Raises InvalidQuery for a class without any; the reply raises what that of
        `run` does."""
        return index(self.connection, actor, workers)

    @overload
    def find(
        self,
        actor: type[Actor[S]],
        *,
        at_least: int | None = None,
        after: str = "",
        limit: int = USUAL,
        timeout_s: float | None = None,
        **where: Any,
    ) -> Reply[Found[S]]: ...
    @overload
    def find(
        self,
        actor: str,
        *,
        at_least: int | None = None,
        after: str = "",
        limit: int = USUAL,
        timeout_s: float | None = None,
        **where: Any,
    ) -> Reply[Found[Any]]: ...
    @advised("what is asked for is said by name, find(Aircraft, last_airport='EWR')")
    def find(
        self,
        actor: type[Actor[Any]] | str,
        *,
        at_least: int | None = None,
        after: str = "",
        limit: int = USUAL,
        timeout_s: float | None = None,
        **where: Any,
    ) -> Reply[Found[Any]]:
        """The actors of a type of whose states all of this is true: `field=value`, or
        `field__operator=value` with eq, ne, gt, ge, lt, le, in (several values) and isnull (True or
        False). The fields are those that the class names in `indexes`. As in SQL, nothing is true
        of a field that is None, but isnull.

        At most `limit` of them, in the order of their names, behind the name `after`. What is
        found is no older than the position `at_least`; where none is said, than all that the log
        has when this is called, the caller's own acknowledged writes among it. It is waited for
        that, for `timeout_s` (`actor_timeout_ms`).

        The reply raises IndexBehind where that takes longer, and StoreUnavailable. Raises
        InvalidQuery for what cannot be asked, and ValueError for what is no limit and no position;
        for the name of a type, in the place of its class, the reply raises InvalidQuery.
        """
        patience_s = checked_seconds(timeout_s)
        if patience_s is None:
            patience_s = self.settings.actor_system.actor_timeout_ms / 1000
        return find(
            self.connection,
            actor,
            where,
            at_least=at_least,
            after=after,
            limit=limit,
            timeout_s=patience_s,
        )

    def dead_letters(self, program: str | None = None) -> Reply[list[DeadLetters]]:
        """What is parked of a stream program, or of all: each key at which its code has failed,
        with the event, the reason, and how many events wait behind it. The reply raises NotPossible
        where nothing of that name could have any."""
        return list_dead_letters(self.connection, program)

    def replay_dead_letters(
        self, program: str, *, key: str | None = None, source: str | None = None
    ) -> Reply[Replayed]:
        """Have a stream program process what it has parked: the events of a key, or of a source, or
        all; each in its order, from the one that had failed to the last that waits, and then the
        key is live again. Where it fails again, the rest waits on, with the new reason.

        The reply says how many events took effect. It raises UnknownProgram where the program does
        not run, and NotPossible where it stands at an event."""
        return replay_dead_letters(self.connection, program, key, source)

    def drop_dead_letters(
        self, program: str, *, key: str | None = None, source: str | None = None
    ) -> Reply[int]:
        """Forget what a stream program has parked, of a key, or of a source, or all of it: these
        events never take effect in it, and its key is live again. The reply says how many there
        were."""
        return drop_dead_letters(self.connection, program, key, source)

    def head(self) -> Reply[int]:
        """The position of the last event that the bus has seen: what is committed after
        the reply is there comes after it. It raises BusUnavailable, SystemNotFound or
        ConnectionClosed."""
        return self.connection.head()

    def position_at(self, moment: datetime) -> Reply[int]:
        """The position after which stands what was committed from a moment on, by the clock of the
        writer. It raises StoreUnavailable, BusUnavailable, SystemNotFound or ConnectionClosed.
        Raises ValueError for what is no aware datetime."""
        start = moment_of(checked_us(moment))
        find = partial(position_of, self.connection.log, start)
        return self.connection.errand(f"what was committed from {start} on", find)

    def explain(self, event: Event | UUID | str, *, limit: int = LIMIT) -> Reply[Explanation]:
        """Why an event is in the log: what has caused it, what it has caused, and what of its
        correlation happened beside it. It is named by its id; so is the first event of a command,
        by the id of that.

        Of effects, of causes and of the correlation `limit` events are there at most; what is left
        out is said in the explanation's `cuts`. The reply raises UnknownEvent, StoreUnavailable,
        AskTimeout or ConnectionClosed. Raises ValueError for what is no id and for a limit that is
        not from 1 to 10,000, and TypeError.
        """
        return explain_event(self.connection, event, limit)

    def state_as_of(
        self,
        ref: ActorRef[S],
        when: datetime | int | None = None,
        *,
        position: int | None = None,
    ) -> Reply[S]:
        """The state of an actor as it was: after all its events that happened up to `when` (their
        `timestamp`; an aware datetime, or Unix microseconds), whenever they were recorded; or after
        all that stand in the log up to `position`, which is what was known then.

        It is folded here, with the class of the ref, in the order of versions; an actor without
        such an event is as it begins. The reply raises InvalidState where the class cannot apply an
        event, which may be for one that is left out by its time; NotPossible for a position that
        is still to come; StoreUnavailable, AskTimeout and ConnectionClosed. A warning is logged
        where the log has no event of the actor. Raises ValueError for no moment and no position,
        and for a ref without a class.
        """
        return state_as_of(self.connection, ref, when, position)

    def flush(self) -> Reply[list[tuple[str, Exception]]]:
        """Wait until everything sent so far is answered; the failures of `tell` since the
        last flush, as (source, error), the first 10,000 of them (all are logged)."""
        return self.connection.flush()

    def status(self) -> Reply[tuple[Status, ...]]:
        """What every process of the system says of itself. While the directory is started anew, on
        another machine perhaps, it is waited for; the reply raises HostUnavailable where that
        takes long."""
        return self.connection.errand("status", self._status, self.STATUS_S)

    def move_shards(
        self, shards: Iterable[int], to: str, *, timeout_s: float = 30.0
    ) -> Reply[dict[str, int]]:
        """Have a pooled host have these shards, while traffic runs: `to` is its name, like
        "host-1", and an actor's shard is that of its ref. The reply is how many shards
        each host has then. No command fails because of it; all that a host is to give away waits
        while it ends what it has under way. Asked for again, in part or whole, it is the same.

        The reply raises HostUnavailable where there is no such host, or who has them does not give
        them in time, and AskTimeout where nobody says even that five seconds later: then they may
        have moved, or may do so yet. Raises ValueError for what is no shard, and TypeError."""
        checked_seconds(timeout_s)
        wanted = checked_shards(shards)
        move = partial(self._move_shards, wanted, to, timeout_s)
        return self.connection.errand("move shards", move, timeout_s + self.SAYS_S)

    def scale(
        self, hosts: int, *, tell: Callable[[ScalingStep], None] = lambda _: None
    ) -> Reply[dict[str, int]]:
        """Have so many pooled hosts, while traffic runs: hosts are added, or ended once they have
        no shards any more, and shards move, so that all have about as much to do. `tell` is called
        after each step, in the connection's thread. The reply is how many shards each host has
        then. No command fails because of it. Asked for again after an interruption it goes on.

        The reply raises HostUnavailable where a host is away for long, and AskTimeout where the
        directory does not answer: what was done by then stays. Raises ValueError for a number that
        cannot be, and TypeError."""
        scaling = partial(self._scale, checked_hosts(hosts), tell)
        return self.connection.errand("scale", scaling)

    def promote(self, ref: ActorRef[Any]) -> Reply[str]:
        """Have a hot actor have a process of its own, while traffic runs: the shard that it is of,
        a 4,096th of all pooled actors, moves to a host that has nothing else. The reply is the name
        of that. No command fails because of it, it stays so over restarts and launches, and
        scaling leaves it alone. Asked for again it is the same.

        The reply raises NotPossible where 64 shards are promoted already, HostUnavailable where a
        host is away for long or the new one does not come to life, and AskTimeout where the
        directory does not answer. Raises NotPossible for an actor whose type is dedicated: it has a
        process of its own. Raises TypeError for what is no ref."""
        promoting = partial(promote, self._scaling_step, self._shard_of(ref))
        return self.connection.errand("promote", promoting)

    def demote(self, ref: ActorRef[Any]) -> Reply[str]:
        """Have its shard go back to a pooled host, the one with least to do, and its own host end.
        The reply is the name of the host that it has then; where it was not promoted, nothing
        moves. It raises HostUnavailable and AskTimeout as that of `promote` does."""
        demoting = partial(demote, self._scaling_step, self._shard_of(ref))
        return self.connection.errand("demote", demoting)

    def _shard_of(self, ref: ActorRef[Any]) -> int:
        if not isinstance(ref, ActorRef):
            raise TypeError(f"a ref is wanted, system.actor(...), not {ref!r:.80}")
        return pooled_shard(ref.source, self.settings.actor_system.placement)

    async def _scale(self, hosts: int, tell: Callable[[ScalingStep], None]) -> dict[str, int]:
        return dict((await scale(self._scaling_step, hosts, tell)).by_host())

    async def _scaling_step(self, method: str, *arguments: Any) -> Any:
        """What the directory answers, which may be away before it has its STEP_S."""
        away_s = STEP_S + self.AWAY_S
        limit_s = away_s + STEP_S + self.SAYS_S
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await self.connection.rejoining.ask(method, *arguments, away_s=away_s)
        except TimeoutError as error:
            if limit.expired():
                raise AskTimeout(f"scale, at {method}", limit_s) from error
            raise HostUnavailable(DIRECTORY_ACTOR, type(error).__name__) from error  # one of Ray's

    async def _move_shards(self, shards: list[int], to: str, timeout_s: float) -> dict[str, int]:
        table: ShardTable = await self.connection.rejoining.ask(
            "move_shards", shards, to, timeout_s, away_s=timeout_s
        )
        return dict(table.by_host())

    def progress(self) -> Reply[Progress]:
        """How far a launch, or a drain, has come. The reply raises HostUnavailable when the
        directory is away, or has ended."""
        return self.connection.errand("progress", self._progress, self.STATUS_S)

    def drain(self, *, timeout_s: float = 60.0) -> Reply[DrainReport]:
        """Flush hosts and writer, then stop every process of the system, and the embedded
        database. Nothing that was acknowledged or accepted is lost. When it is done, the
        connection is closed. The reply raises HostUnavailable when the directory is away, and
        AnotherSystem where the system has been drained, and launched anew, since this connection
        found it: nothing is done then, and a second `drain` means the new one."""
        checked_seconds(timeout_s)
        return self.connection.last_errand("drain", partial(self._drain, timeout_s))

    async def _status(self) -> tuple[Status, ...]:
        statuses: tuple[Status, ...] = await self.connection.rejoining.ask(
            "statuses", away_s=self.AWAY_S
        )
        return statuses

    async def _progress(self) -> Progress:
        progress: Progress = await self.connection.rejoining.ask("progress")
        return progress

    async def _drain(self, timeout_s: float) -> DrainReport:
        await self.connection.log.move_checkpoints()  # the database may end with the system
        return await self.connection.rejoining.drain(timeout_s)

    async def open_store(self) -> EventStore:
        """The event store of this system, opened for the caller. Raises StoreUnavailable."""
        return await self.connection.open_store()

    def close(self) -> None:
        """End this connection. What is unanswered fails with ConnectionClosed, and so does
        whatever is called later. Closing twice is harmless."""
        self.connection.close()

    def _patience_s(self) -> float:
        """How long a call may block this thread."""
        return 1.0 if in_a_loop() else self.settings.actor_system.actor_timeout_ms / 1000

    def __repr__(self) -> str:
        """Which one it is."""
        closed = ", closed" if self.connection.closed else ""
        return f"<{type(self).__name__} in namespace {self.namespace!r}{closed}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
