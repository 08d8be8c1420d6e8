"""One face for a system of several partitions (docs/decisions/0100).

Each partition is a system of its own, with processes, log and namespace of its own; whatever
concerns one actor goes to the partition of its source, and whatever concerns all of them goes to
all. What nobody can do over several logs is refused with NotPossible, which names the way.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from actors.actor import Actor, Command, described
from actors.event import Event
from actors.naming import checked_type_name, source_of
from runtime.driver.bulk import BulkResult
from runtime.driver.connection import Connection
from runtime.driver.explaining import explain_in
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.scaling import ScalingStep, checked_hosts
from runtime.driver.selecting import checked_seconds
from runtime.driver.starting import Start, checked_start
from runtime.errors import NotPossible, SystemNotFound
from runtime.face import Face
from runtime.process.partitioning import share_of, whole_of
from runtime.processing.dead_letters import (
    DeadLetters,
    Replayed,
    added_up,
    check_known,
    found_events,
    found_parked,
    shown,
)
from runtime.processing.erasing_everywhere import forgotten_everywhere
from runtime.processing.finding import USUAL, Found
from runtime.processing.merged_subscription import MergedSubscription
from runtime.processing.partitioned_programs import (
    check_same_logs,
    ensure_merge,
    home_of_program,
    homes,
    reads_all_logs,
)
from runtime.processing.running import run_program
from runtime.settings.settings import Settings
from runtime.topology.partitions import partition_of, process_of_partition
from runtime.topology.positions import Positions
from runtime.topology.status import DrainReport, Progress, Status, statuses_of_all
from store.causality import LIMIT, Explanation
from store.erasures import ErasureReceipt
from store.event_store import EventStore
from streams.program import Program
from streams.programs import Runnable, program_of

S = TypeVar("S")


class PartitionedFace(Face):
    """What `PartitionedSystem` does. `parts` are its partitions, in their order: each a system by
    itself."""

    def __init__(self, parts: Sequence[Face]) -> None:
        self.parts = tuple(parts)
        self.namespace = parts[0].namespace
        self._ended: set[int] = set()  #: partitions that a drain of this has ended, or found ended

    @property
    def connection(self) -> Connection:  # type: ignore[override]
        """There are several. Raises NotPossible."""
        self._refuse("this works on one log")

    @property
    def settings(self) -> Settings:
        """Those of the whole, as it was launched last; each of `parts` has its own."""
        hosts = sum(part.settings.actor_system.hosts for part in self.parts)
        return whole_of(self.parts[0].settings, hosts)

    # Actors -------------------------------------------------------------------------------

    def part_of(self, source: str) -> Face:
        """The partition of whatever has that source."""
        return self.parts[partition_of(source, len(self.parts))]

    def actor(self, actor: type[Actor[Any]] | str, name: str) -> ActorRef[Any]:
        """See ActorSystem."""
        if isinstance(actor, str):
            source = source_of(checked_type_name(actor), name)
        else:
            described(actor)
            source = source_of(actor.actor_type, name)
        return self.part_of(source).actor(actor, name)

    def broadcast(
        self,
        message: Command,
        actor: type[Actor[Any]] | str,
        *,
        id: UUID | bytes | None = None,
        patience_s: float = 60.0,
    ) -> BulkResult:
        """See ActorSystem: to those of one partition after the other."""
        found = BulkResult()
        own = self.parts[0].connection.new_id() if id is None else id
        for part in self.parts:
            found += part.broadcast(message, actor, id=own, patience_s=patience_s)
        return found

    def publish(self, event: Event) -> Reply[list[Event]]:
        """See ActorSystem."""
        return self._of(event).publish(event)

    def stop(
        self, what: str | ActorRef[Any], *, reason: str = "", id: UUID | bytes | None = None
    ) -> Any:
        """See ActorSystem. A stream program is stopped in all partitions in which it runs."""
        if not isinstance(what, str):
            return self.parts[0].stop(what, reason=reason, id=id)  # by what the ref says
        return self._where(what, f"stopping {what}", lambda part: part.stop(what), lambda _: None)

    def erase(
        self,
        ref: ActorRef[Any],
        reason: str,
        *,
        keys: Iterable[str] = (),
        patience_s: float = 60.0,
    ) -> Reply[ErasureReceipt]:
        """See ActorSystem. What waits for it as dead letters is forgotten in all partitions; and
        what programs have of its keys, in those where such a key may be: its own, those where the
        other keys are at home, and those where programs are that read all logs. The receipt that
        its own keeps is of its own; the one that is returned has counted all."""
        keys = keys if isinstance(keys, str) else list(keys)  # a text is refused below
        reply = self._of(ref).erase(ref, reason, keys=keys, patience_s=patience_s)
        partitions = [part.connection for part in self.parts]

        async def erased() -> ErasureReceipt:
            return await forgotten_everywhere(await reply, partitions, ref.source, keys, patience_s)

        return partitions[0].errand(f"erasing {ref.source}", erased)

    def state_as_of(
        self,
        ref: ActorRef[S],
        when: datetime | int | None = None,
        *,
        position: Any = None,
    ) -> Reply[S]:
        """See ActorSystem. A position is one of the actor's own partition, or one of each."""
        part = self._of(ref)
        if position is not None and not isinstance(position, int):
            position = Positions.of(position, len(self.parts))[self.parts.index(part)]
        return part.state_as_of(ref, when, position=position)

    def promote(self, ref: ActorRef[Any]) -> Reply[str]:
        """See ActorSystem: to a host of its own partition."""
        return self._of(ref).promote(ref)

    def demote(self, ref: ActorRef[Any]) -> Reply[str]:
        """See ActorSystem."""
        return self._of(ref).demote(ref)

    # Reading ------------------------------------------------------------------------------

    def subscribe(  # type: ignore[override]
        self,
        event_types: str | Iterable[str] = "*",
        *,
        after: Any = None,
        **wanted: Any,
    ) -> MergedSubscription:
        """See ActorSystem. The events of all partitions in one stream (MergedSubscription); `after`
        is a moment, or a position of each (`subscription.position`, `head()`), or 0. With a name a
        checkpoint is kept in each."""
        parts: list[Any] = []
        given, wanted = _kept(event_types), {name: _kept(value) for name, value in wanted.items()}
        try:
            for part, start in zip(self.parts, self._starts(after), strict=True):
                subscribe: Any = part.subscribe
                parts.append(subscribe(given, after=start, **wanted))
        except BaseException:
            for opened in parts:
                opened.close()
            raise
        return MergedSubscription(parts)

    def head(self) -> Reply[Positions]:  # type: ignore[override]
        """See ActorSystem: of each partition."""
        return self._all("the heads of the logs", Face.head, Positions)

    def position_at(self, moment: datetime) -> Reply[Positions]:  # type: ignore[override]
        """See ActorSystem: of each partition."""
        wanted = f"what was committed from {moment} on"
        return self._all(wanted, lambda part: part.position_at(moment), Positions)

    def explain(self, event: Event | UUID | str, *, limit: int = LIMIT) -> Reply[Explanation]:
        """See ActorSystem. Causes and effects are looked for in all partitions; what is in two of
        them is told apart by its clocks, and all stands in the order of its commit times."""
        return explain_in(self._connections, event, limit)

    # Stream programs ----------------------------------------------------------------------

    def run(
        self,
        program: Runnable | type[Actor[Any]],
        *,
        workers: int | None = None,
        after: Any = 0,
    ) -> Reply[None]:
        """See ActorSystem. Where its keys are the sources of events it runs in each partition on
        its own log, in so many workers there; otherwise in one partition, on all logs as one.
        Raises NotPossible for handlers that run together where one of them has such keys."""
        starts = [checked_start(start) for start in self._starts(after)]
        if reads_all_logs(program):
            return self._run_over_all(program, workers, starts)

        async def run() -> None:
            if not (isinstance(program, type) and issubclass(program, Actor)):
                await check_same_logs(self._connections, program_of(program))
            await asyncio.gather(
                *(
                    part.run(program, workers=workers, after=start)
                    for part, start in zip(self.parts, starts, strict=True)
                )
            )

        return self.parts[0].connection.errand("running a program", run)

    def _run_over_all(
        self, program: Any, workers: int | None, starts: Sequence[Start]
    ) -> Reply[None]:
        connections = self._connections
        made = program_of(program)

        async def merging(known: Program) -> int:
            return await ensure_merge(connections, known, starts)

        home = connections[home_of_program(made.name, len(connections))]
        return run_program(home, made, workers, 0, merging)

    def resume(self, program: str, *, skip: bool = False) -> Reply[int]:
        """See ActorSystem."""
        return self._where(
            program, f"resuming {program}", lambda part: part.resume(program, skip=skip), sum
        )

    def rebuild(self, projection: Runnable | str, *, workers: int | None = None) -> Reply[None]:
        """See ActorSystem: in each partition in which it runs."""
        name = projection if isinstance(projection, str) else program_of(projection).name

        async def rebuild() -> None:
            there = await homes(self._connections, name)
            if not isinstance(projection, str):
                await check_same_logs(self._connections, program_of(projection))
            await asyncio.gather(
                *(self.parts[each].rebuild(projection, workers=workers) for each in there)
            )

        if not isinstance(name, str):
            return self.parts[0].rebuild(projection, workers=workers)  # who says what is wrong
        return self.parts[0].connection.errand("rebuilding", rebuild)

    def index(self, actor: type[Actor[Any]], *, workers: int | None = None) -> Reply[None]:
        """See ActorSystem: one in each partition."""
        return self._all(
            "an index", lambda part: part.index(actor, workers=workers), lambda _: None
        )

    def find(
        self,
        actor: Any,
        *,
        at_least: Any = None,
        after: str = "",
        limit: int = USUAL,
        timeout_s: float | None = None,
        **where: Any,
    ) -> Reply[Found[Any]]:
        """See ActorSystem: from all partitions, in the order of their names. `at_least` and what is
        found have a position of each."""
        least: Iterable[int | None] = [None] * len(self.parts)
        if at_least is not None:
            least = Positions.of(at_least, len(self.parts))
        each, where = iter(least), {name: _kept(value) for name, value in where.items()}

        def find(part: Face) -> Reply[Found[Any]]:
            return part.find(
                actor, at_least=next(each), after=after, limit=limit, timeout_s=timeout_s, **where
            )

        return self._all("find", find, partial(_merged, limit))

    def dead_letters(self, program: str | None = None) -> Reply[list[DeadLetters]]:
        """See ActorSystem: those of all partitions."""
        if program is not None and not isinstance(program, str):
            return self.parts[0].dead_letters(program)  # who says what is wrong

        async def look() -> list[DeadLetters]:
            logs = [connection.log for connection in self._connections]
            found = [await log.ask(partial(found_parked, program)) for log in logs]
            check_known(program, found)
            wanted = [event_id for theirs in found for event_id in theirs.event_ids]
            # Of a program that reads all logs they are in any of them.
            return shown(found, [await log.ask(partial(found_events, wanted)) for log in logs])

        return self.parts[0].connection.errand("dead letters", look)

    def replay_dead_letters(
        self, program: str, *, key: str | None = None, source: str | None = None
    ) -> Reply[Replayed]:
        """See ActorSystem. All partitions in which it runs are asked, for one key or source, too:
        messages to an actor wait where they were sent."""

        def replay(part: Face) -> Reply[Replayed]:
            return part.replay_dead_letters(program, key=key, source=source)

        return self._where(program, "replaying", replay, added_up)

    def drop_dead_letters(
        self, program: str, *, key: str | None = None, source: str | None = None
    ) -> Reply[int]:
        """See ActorSystem, and likewise."""

        def drop(part: Face) -> Reply[int]:
            return part.drop_dead_letters(program, key=key, source=source)

        return self._where(program, "dropping", drop, sum)

    # The whole ----------------------------------------------------------------------------

    def flush(self) -> Reply[list[tuple[str, Exception]]]:
        """See ActorSystem."""
        return self._all("flush", Face.flush, lambda found: [one for each in found for one in each])

    def status(self) -> Reply[tuple[Status, ...]]:
        """See ActorSystem: of the processes of all partitions. Those of the first one have the
        names that they have in a system of one; those of the others say their partition."""
        return self._all("status", Face.status, statuses_of_all)

    def move_shards(
        self, shards: Iterable[int], to: str, *, timeout_s: float = 30.0
    ) -> Reply[dict[str, int]]:
        """Shards are those of one partition. Raises NotPossible."""
        self._refuse("shards move within one partition")

    def scale(
        self, hosts: int, *, tell: Callable[[ScalingStep], None] = lambda _: None
    ) -> Reply[dict[str, int]]:
        """See ActorSystem: each partition has its share of the hosts, and at least one; steps say
        of which one they are. Raises ValueError for fewer hosts than there are partitions."""
        count = len(self.parts)
        if checked_hosts(hosts) < count:
            raise ValueError(f"each of the {count} partitions has a host, so {hosts} are too few")

        def scale(part: Face) -> Reply[dict[str, int]]:
            number = self.parts.index(part)

            def told(step: ScalingStep) -> None:
                tell(replace(step, what=f"partition {number}: {step.what}"))

            return part.scale(share_of(hosts, number, count), tell=told)

        return self._all("scale", scale, _by_host)

    def progress(self) -> Reply[Progress]:
        """See ActorSystem: of all partitions together."""
        return self._all("progress", lambda part: part.progress(), _progress)

    def drain(self, *, timeout_s: float = 60.0) -> Reply[DrainReport]:
        """See ActorSystem: all partitions, the first one last, by which the system is found. It is
        not drained where one of the others cannot be, and a second drain goes on: what has ended
        is not asked again, nor in its report. One of `parts` that somebody has closed is drained
        like the others."""
        first, *others = self.parts

        async def drain() -> DrainReport:
            drains = (self._drain_other(number, timeout_s) for number in range(1, len(others) + 1))
            reports = await asyncio.gather(*drains, return_exceptions=True)
            done = [each for each in reports if not isinstance(each, BaseException)]
            for report in reports:  # of those that failed: all others have done what they can
                if isinstance(report, BaseException):
                    raise report
            try:
                done.append(await first._drain(timeout_s))
            except SystemNotFound:
                if not any(report.processes for report in done):
                    raise
                done.append(_NOTHING)
            return _drained(done)

        checked_seconds(timeout_s)
        return first.connection.last_errand("drain", drain)

    async def _drain_other(self, number: int, timeout_s: float) -> DrainReport:
        """Drain it, if that has not been done. That its connection is closed does not say so."""
        if number in self._ended:
            return _NOTHING
        part = self.parts[number]
        try:
            if part.connection.closed:
                report = await part._drain(timeout_s)
            else:
                report = await part.drain(timeout_s=timeout_s)
        except SystemNotFound:
            part.close()
            report = _NOTHING
        self._ended.add(number)
        return report

    async def open_store(self) -> EventStore:
        """There are several. Raises NotPossible."""
        self._refuse("a store is that of one log")

    def close(self) -> None:
        """See ActorSystem."""
        for part in reversed(self.parts):  # the first one has the loop in which all of them work
            part.close()

    def __repr__(self) -> str:
        closed = ", closed" if self.parts[0].connection.closed else ""
        return (
            f"<{type(self).__name__} of {len(self.parts)} partitions in namespace "
            f"{self.namespace!r}{closed}>"
        )

    def _of(self, what: Any) -> Face:
        """The partition of a ref, or of an event; for what is none, whoever says so."""
        known = isinstance(what, ActorRef | Event)
        return self.part_of(what.source) if known else self.parts[0]

    def _starts(self, after: Any) -> Sequence[Start]:
        """Where each of them begins. Raises ValueError."""
        if after is None or isinstance(after, datetime):
            return [after] * len(self.parts)
        return Positions.of(after, len(self.parts))

    def _all(
        self,
        name: str,
        ask: Callable[[Face], Reply[Any]],
        together: Callable[[list[Any]], Any],
    ) -> Reply[Any]:
        """What all of them answer, as one."""
        replies = [ask(part) for part in self.parts]

        async def answers() -> Any:
            return together(list(await asyncio.gather(*replies)))

        return self.parts[0].connection.errand(name, answers)

    def _where(
        self,
        program: str,
        name: str,
        ask: Callable[[Face], Reply[Any]],
        together: Callable[[list[Any]], Any],
    ) -> Reply[Any]:
        """What the partitions answer in which a program runs, as one; for what is no name, whoever
        says so."""
        if not isinstance(program, str):
            return ask(self.parts[0])

        async def answers() -> Any:
            there = await homes(self._connections, program)
            return together(list(await asyncio.gather(*(ask(self.parts[each]) for each in there))))

        return self.parts[0].connection.errand(name, answers)

    @property
    def _connections(self) -> list[Connection]:
        return [part.connection for part in self.parts]

    def _refuse(self, why: str) -> NoReturn:
        raise NotPossible(
            f"{why}, and this system has {len(self.parts)} partitions: take one of system.parts, "
            f"or name the namespace of one, {self.namespace}.partition-0 and so on"
        )


def _kept(given: Any) -> Any:
    """What somebody gave, for several to read: an iterator is read once."""
    return tuple(given) if isinstance(given, Iterator) else given


def _merged(limit: int, found: list[Found[Any]]) -> Found[Any]:
    refs = sorted((ref for each in found for ref in each.refs), key=lambda ref: ref.name.encode())
    kept = refs[:limit]
    more = len(refs) > limit or any(each.next is not None for each in found)
    position: Any = Positions(each.position for each in found)
    return Found(kept, position, kept[-1].name if more and kept else None)


def _progress(found: list[Progress]) -> Progress:
    waits = next((each for each in found if each.done < each.processes), found[0])
    done, processes = sum(each.done for each in found), sum(each.processes for each in found)
    return replace(waits, done=done, processes=processes)


#: What a drain says of a partition that has ended before.
_NOTHING = DrainReport(processes=(), end_problems=())


def _drained(reports: list[DrainReport]) -> DrainReport:
    """What became of all: the others, in their order, and then the first one."""
    *others, first = reports
    processes = [
        replace(each, name=process_of_partition(each.name, partition))
        for partition, report in enumerate(others, 1)
        for each in report.processes
    ]
    problems = [problem for report in reports for problem in report.end_problems]
    return DrainReport(processes=(*processes, *first.processes), end_problems=tuple(problems))


def _by_host(found: list[dict[str, int]]) -> dict[str, int]:
    first, *others = found
    return first | {
        process_of_partition(host, partition): shards
        for partition, theirs in enumerate(others, 1)
        for host, shards in theirs.items()
    }
