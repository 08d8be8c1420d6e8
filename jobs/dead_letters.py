"""Dead letters of stream programs: list what is parked, show one with what queues behind it, have
it replayed, or drop it. All but a replay needs the database alone."""

import argparse
from functools import partial
from typing import Any

from rich.markup import escape
from rich.table import Table

from actors.event import Event
from jobs.command_line import connected, parser, problems, run, settings_of
from jobs.subscriptions import asked_each
from jobs.terminal import UNWELL, as_json, console, show
from runtime.errors import NotPossible
from runtime.processing.dead_letters import (
    DeadLetters,
    check_known,
    dropped_parked,
    event_of,
    found_events,
    found_parked,
    parked_of,
    shown,
)
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from store.dead_letters import DeadLetter, Parked
from store.event_store import EventStore

#: Of the events that queue, so many are shown.
SHOWN = 100


def list_all(settings: Settings, program: str | None, *, for_programs: bool = False) -> int:
    """Show what is parked; the exit code, which is 1 where there is anything."""
    parked = asked_each(settings, partial(found_parked, program))
    check_known(program, parked)
    wanted = [event_id for theirs in parked for event_id in theirs.event_ids]
    events = asked_each(settings, partial(found_events, wanted)) if wanted else []
    found = shown(parked, events)
    if for_programs:
        for letters in found:
            print(as_json(in_json(letters)))
        return UNWELL if found else 0
    if not found:
        problems.print("there are none")
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("program", "parked", "events", "tries", "since", "at event", "reason"):
        table.add_column(column, overflow="fold")
    for letters in found:
        parked_at = letters.parked_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            letters.program, escape(_what(letters.key, letters.source)), f"{letters.letters:,}",
            f"{letters.tries:,}", parked_at,
            escape(f"{letters.event.id} ({letters.event.event_type} of {letters.event.source})"),
            escape(letters.reason),
        )  # fmt: skip
    show(table)
    return UNWELL


def show_one(
    settings: Settings, program: str, key: str | None, source: str | None,
    *, for_programs: bool = False,
) -> int:  # fmt: skip
    """Show the events that wait for a key, or for a source, from the first on; the exit code, which
    is 1 where none does."""
    parked = _one(program, key, source)

    async def look(store: EventStore) -> list[DeadLetter]:
        return await store.dead_letters(parked, 0, SHOWN)

    # A key is parked in one partition; a source may be in several, by what waits for it.
    logs = asked_each(settings, look)
    letters = [letter for theirs in logs for letter in theirs]
    wanted = [letter.event_id for letter in letters]
    found = asked_each(settings, partial(found_events, wanted)) if wanted else []
    events = {event_id: event for theirs in found for event_id, event in theirs.items()}
    if not letters:
        problems.print(f"{parked} of {program} is not parked", markup=False)
        return UNWELL
    for letter in letters:
        event = event_of(letter, events)
        if for_programs:
            print(as_json(_letter_in_json(letter, event)))
            continue
        console.print(
            f"{letter.position:,}  {event.id}  {event.event_type} of {event.source}  "
            f"{as_json(event.data)}",
            markup=False,
        )
        if letter.reason is not None:
            console.print(f"    {letter.reason}, tried {letter.tries} times", markup=False)
            for frame in letter.frames:
                console.print(f"    {frame}", markup=False)
    if any(len(theirs) == SHOWN for theirs in logs) and not for_programs:
        problems.print(f"the first {SHOWN}; there may be more")
    return 0


def replay(
    system: ActorSystem, program: str, key: str | None, source: str | None,
    *, for_programs: bool = False,
) -> int:  # fmt: skip
    """Have a program process what it has parked; the exit code, which is 1 where some of it is
    parked still. Raises UnknownProgram and NotPossible."""
    replayed = system.replay_dead_letters(program, key=key, source=source).result()
    if for_programs:
        print(as_json({"events": replayed.events, "parked": replayed.parked}))
    else:
        problems.print(f"{replayed.events:,} events took effect", markup=False)
        for name, reason in replayed.parked.items():
            problems.print(f"{name} is parked still: {reason}", markup=False)
    return UNWELL if replayed.parked else 0


def drop(settings: Settings, program: str, key: str | None, source: str | None) -> int:
    """Forget what a program has parked; the exit code, which is 1 where there was nothing."""
    parked = parked_of(program, key, source)
    dropped = sum(asked_each(settings, partial(dropped_parked, program, parked)))
    if not dropped:
        check_known(program, asked_each(settings, partial(found_parked, program)))
        problems.print(f"{parked or 'nothing'} of {program} is parked", markup=False)
        return UNWELL
    problems.print(f"{dropped:,} events are dropped: {program} never sees them", markup=False)
    return 0


def in_json(letters: DeadLetters) -> dict[str, Any]:
    """What is parked, as programs read it."""
    return {
        "program": letters.program,
        "key": letters.key,
        "source": letters.source,
        "reason": letters.reason,
        "frames": letters.frames,
        "tries": letters.tries,
        "letters": letters.letters,
        "parked_at": letters.parked_at,
        **_event_in_json(letters.event),
    }


def _letter_in_json(letter: DeadLetter, event: Event) -> dict[str, Any]:
    return {
        "reason": letter.reason,
        "frames": letter.frames,
        "tries": letter.tries,
        "parked_at": letter.parked_at,
        **_event_in_json(event),
        "data": event.data,
    }


def _event_in_json(event: Event) -> dict[str, Any]:
    return {
        "event": event.id,
        "event_type": event.event_type,
        "event_source": event.source,
        "position": event.position,
    }


def _what(key: str | None, source: str | None) -> str:
    return f"key {key}" if source is None else f"source {source}"


def _one(program: str, key: str | None, source: str | None) -> Parked:
    parked = parked_of(program, key, source)
    if parked is None:
        raise NotPossible("which of them? --key KEY, or --source SOURCE")
    return parked


def main() -> int:
    options = parser(__doc__)
    options.add_argument("what", choices=("list", "show", "replay", "drop"), help="what to do")
    options.add_argument("program", nargs="?", help="the program; to list, it may be left out")
    options.add_argument("--key", help="of this key")
    options.add_argument("--source", help="of this source")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = options.parse_args()
    if arguments.what != "list" and arguments.program is None:
        raise NotPossible(f"of which program? {arguments.what} PROGRAM")
    return _done(arguments)


def _done(arguments: argparse.Namespace) -> int:
    which = arguments.program, arguments.key, arguments.source
    match arguments.what:
        case "list":
            settings = settings_of(arguments)
            return list_all(settings, arguments.program, for_programs=arguments.json)
        case "show":
            return show_one(settings_of(arguments), *which, for_programs=arguments.json)
        case "drop":
            return drop(settings_of(arguments), *which)
        case _:
            with connected(arguments) as system:
                return replay(system, *which, for_programs=arguments.json)


if __name__ == "__main__":
    run(main)
