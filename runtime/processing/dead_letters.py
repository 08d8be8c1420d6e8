"""A driver's side of dead letters: what is parked, and what becomes of it."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from actors.event import Event
from actors.messages import RETURNS_SOURCE
from actors.naming import actor_type_of
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.errors import NotPossible
from store.dead_letters import DeadLetter, Parked, ParkedQueue
from store.event_store import EventStore
from store.rows.decoding import Decoder

#: How long replaying may take: each event of it runs through the program.
_REPLAY_S, _ASK_S = 600.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """A key of a stream program that is parked (or a source, where `key` is None): the event at
    which the program has failed, why, and how many events wait, with that one."""

    program: str
    key: str | None
    source: str | None
    event: Event
    reason: str
    frames: tuple[str, ...]  #: where in its code that was
    tries: int
    letters: int
    parked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What has become of a replay: so many events took effect, and this is parked still, with the
    reason of each."""

    events: int
    parked: dict[str, str]


def added_up(replays: Iterable[Replayed]) -> Replayed:
    """Those of several workers, as one."""
    events, parked = 0, dict[str, str]()
    for one in replays:
        events += one.events
        parked |= one.parked
    return Replayed(events=events, parked=parked)


def parked_of(program: str, key: str | None, source: str | None) -> Parked | None:
    """What a user means: a key, a source, or all that there is. Raises ValueError for both."""
    if key is not None and source is not None:
        raise ValueError("key= or source=, and not both")
    if source is not None:
        return Parked(program, True, source)
    return None if key is None else Parked(program, False, key)


def list_dead_letters(connection: Connection, program: str | None) -> Reply[list[DeadLetters]]:
    """ActorSystem.dead_letters."""
    look = partial(connection.log.ask, partial(found_dead_letters, program))
    return connection.errand("dead letters", look, _ASK_S)


def replay_dead_letters(
    connection: Connection, program: str, key: str | None, source: str | None
) -> Reply[Replayed]:
    """ActorSystem.replay_dead_letters."""
    parked = parked_of(program, key, source)
    replay = partial(connection.rejoining.ask, "replay_program", program, parked)
    return connection.errand(f"replaying dead letters of {program}", replay, _REPLAY_S)


def drop_dead_letters(
    connection: Connection, program: str, key: str | None, source: str | None
) -> Reply[int]:
    """ActorSystem.drop_dead_letters."""
    parked = parked_of(program, key, source)
    drop = partial(connection.log.ask, partial(dropped_dead_letters, program, parked))
    return connection.errand(f"dropping dead letters of {program}", drop, _ASK_S)


async def found_dead_letters(program: str | None, store: EventStore) -> list[DeadLetters]:
    """What is parked, with its events. Raises NotPossible where nobody has that name."""
    found = await found_parked(program, store)
    check_known(program, [found])
    return shown([found], [await found_events(found.event_ids, store)])


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundParked:
    """What is parked in one log, and who might have something parked there. A program that reads
    several logs has its dead letters in one of them, and their events in all."""

    queues: Sequence[ParkedQueue]
    known: frozenset[str]

    @property
    def event_ids(self) -> list[bytes]:
        """Of the first event of each."""
        return [queue.first.event_id for queue in self.queues]


async def found_parked(program: str | None, store: EventStore) -> FoundParked:
    """What there is in one log."""
    queues = await store.parked_queues(program)
    known = await known_programs(store) if not queues and program is not None else frozenset()
    return FoundParked(queues=queues, known=known)


def shown(
    found: Iterable[FoundParked], events: Iterable[Mapping[bytes, Event]]
) -> list[DeadLetters]:
    """What was found in some logs, with its events. Raises NotPossible where one of these is in
    another log."""
    by_id = {event_id: event for theirs in events for event_id, event in theirs.items()}
    return [
        _shown(queue, event_of(queue.first, by_id)) for theirs in found for queue in theirs.queues
    ]


def event_of(letter: DeadLetter, events: Mapping[bytes, Event]) -> Event:
    """That of a letter. Raises NotPossible where it is in another log."""
    event = events.get(letter.event_id)
    if event is None:
        raise NotPossible(
            f"{letter.parked.program} reads the logs of all partitions, and its dead letters have "
            "events of others: ask all of them"
        )
    return event


async def found_events(event_ids: Sequence[bytes], store: EventStore) -> dict[bytes, Event]:
    """The events of these ids that are in a log."""
    wanted = list(event_ids)
    events: dict[bytes, Event] = {}
    while wanted:
        found = await store.find_rows(wanted)
        events |= {event.id_bytes: event for event in Decoder().events(found.rows)}
        wanted = [each for each in wanted if each not in events] if found.more else []
    return events


async def dropped_dead_letters(program: str, parked: Parked | None, store: EventStore) -> int:
    """How many were forgotten. Raises NotPossible where nobody has that name."""
    dropped = await dropped_parked(program, parked, store)
    if not dropped:
        check_known(program, [await found_parked(program, store)])
    return dropped


async def dropped_parked(program: str, parked: Parked | None, store: EventStore) -> int:
    """The same in one of several logs, where it may have none."""
    return await store.drop_dead_letters(program, parked, -1 - secrets.randbelow(2**62))


async def known_programs(store: EventStore) -> frozenset[str]:
    """Who might have dead letters in a log."""
    names = {record.name.partition("/")[0] for record in await store.subscriptions()}
    return frozenset({actor_type_of(RETURNS_SOURCE), *names})  # messages may be none yet


def check_known(program: str | None, found: Iterable[FoundParked]) -> None:
    """That there is nothing is no answer to somebody who asks for what there is not. Raises
    NotPossible where nobody has that name in any of these logs."""
    theirs = list(found)
    known = frozenset[str]().union(*(each.known for each in theirs))
    if program is None or program in known or any(each.queues for each in theirs):
        return
    raise NotPossible(
        f"nothing has the name {program!r} that could have dead letters; what has one: "
        f"{', '.join(sorted(known))}. Handlers that run together have theirs under their own names"
    )


def _shown(queue: ParkedQueue, event: Event) -> DeadLetters:
    first = queue.first
    by_source, name = first.parked.by_source, first.parked.name
    return DeadLetters(
        program=first.parked.program,
        key=None if by_source else name,
        source=name if by_source else None,
        event=event,
        reason=first.reason or "",
        frames=first.frames,
        tries=first.tries,
        letters=queue.letters,
        parked_at=first.parked_at,
    )
