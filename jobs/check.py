"""Hold this code against a log that other code has written, before it is deployed.

Folds a sample of the stored history of each actor type through the classes that are here, and says
which events they cannot read or apply, each with an example. Changes nothing: the sessions are
read-only. Needs no Ray, and a system may run on the database or not; that may be of an earlier
release.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from actors.actor import Actor, ActorType
from actors.actor_type import decided_by_another, deciding_names
from actors.errors import InvalidActor
from jobs.actor_classes import class_in
from jobs.databases import address_of, check_partition
from jobs.terminal import UNWELL, as_json, console, problems, run
from runtime.errors import NotPossible
from runtime.host.history_check import HistoryCheck, Misfit
from runtime.host.type_checks import held_against
from runtime.settings.settings import Settings, redacted_url
from store.event_store import TypeRecord
from store.postgres.looking_back import PastLog

#: Actors of each type that are folded, unless somebody says how many.
SAMPLE = 1_000
#: Actors whose events are asked for at a time.
_AT_ONCE = 200
#: Which actors a sample has: the same ones each time, so that a mended class is held against them.
_SEED = 0


@dataclass(slots=True)
class Checked:
    """What came of one actor type."""

    actor_type: str
    class_name: str | None  #: None: there is none here
    problems: list[str] = field(default_factory=list)  #: of the type as a whole
    actors: int = 0  #: that the log has
    folded: int = 0  #: of these
    events: int = 0  #: of those that were folded
    snapshots: int = 0
    snapshots_ignored: int = 0
    misfits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Does all of it apply?"""
        return not self.problems and not self.misfits


def check(
    settings: Settings,
    *,
    against: str | None = None,
    actor_types: Sequence[str] = (),
    modules: Sequence[str] = (),
    sample: int = SAMPLE,
    for_programs: bool = False,
) -> int:
    """Check the types that are named, or else all that the log has and a class has decided; the
    exit code, which is 1 where something does not apply. `sample` is how many actors of each are
    folded, 0 for all. Raises NoDatabase, StoreUnavailable, SchemaMismatch, and NotPossible for a
    type that the log does not have, for a module that cannot be imported, and for an `against` that
    is no URL of a database."""
    url = _checked_url(against) if against is not None else address_of(settings)
    here = settings if against is None else None
    timeout_s = settings.actor_system.actor_timeout_ms / 1000
    known = [*modules, *settings.actor_system.actor_modules]
    done = asyncio.run(
        _checked(url, here, timeout_s, actor_types, known, sample, _Shown(quiet=for_programs))
    )
    if for_programs:
        for one in done:
            print(as_json(asdict(one) | {"well": one.well}))
    else:
        _say(done, url)
    return 0 if all(one.well for one in done) else UNWELL


def _checked_url(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://")):
        raise NotPossible(
            "--against takes the URL of a database, postgresql://USER:PASSWORD@HOST/NAME, not "
            f"{url!r:.80}: without it, the database of the settings is checked"
        )
    if ":***@" in url:
        raise NotPossible(
            "--against: its password was hidden (***) where this URL was shown: put in the password"
        )
    return url


class _Shown:
    """How far it is, on a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def of(self, actor_type: str, total: int) -> Iterator[Callable[[int], None]]:
        """While one type is folded."""
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        hidden = self._quiet or not problems.is_terminal
        with Progress(*columns, console=problems, transient=True, disable=hidden) as bar:
            task = bar.add_task(f"folding {actor_type}", total=total)
            yield lambda folded: bar.update(task, completed=folded)


async def _checked(
    url: str,
    here: Settings | None,
    timeout_s: float,
    actor_types: Sequence[str],
    modules: Sequence[str],
    sample: int,
    shown: _Shown,
) -> list[Checked]:
    log = await PastLog.open(url, timeout_s=timeout_s)
    try:
        if here is not None:
            async with log.connections.use() as connection:
                await check_partition(connection, here)
        records = await log.types()
        wanted = _wanted(records, actor_types)
        return [
            await _check_type(log, name, records[name], modules, sample, shown) for name in wanted
        ]
    finally:
        log.close()


def _wanted(records: dict[str, TypeRecord], actor_types: Sequence[str]) -> list[str]:
    """Those that are named; or all that a class has decided: what is published from outside has
    none, and nothing has to apply it."""
    if unknown := [name for name in actor_types if name not in records]:
        there = ", ".join(records) or "none"
        raise NotPossible(f"the log has no actor of the type {unknown[0]!r}; it has: {there}")
    decided = [name for name, record in records.items() if record.class_name is not None]
    return list(dict.fromkeys(actor_types)) or decided


async def _check_type(
    log: PastLog,
    name: str,
    record: TypeRecord,
    modules: Sequence[str],
    sample: int,
    shown: _Shown,
) -> Checked:
    actors = await log.count(name)
    actor, problem = _class_here(name, record, modules)
    if actor is None:
        return Checked(name, None, [problem], actors)
    found = Checked(name, actor.class_name(), actors=actors)
    try:
        described = actor.described()
    except InvalidActor as error:
        found.problems.append(str(error))
        return found
    found.problems += _of_the_type(described, record)
    history = HistoryCheck(described)
    sources = await log.sample(name, min(sample or actors, actors), _SEED)
    with shown.of(name, len(sources)) as progress:
        for some in _some(sources):
            await _fold(log, history, some)
            progress(history.actors)
    found.folded, found.events = history.actors, history.events
    found.snapshots, found.snapshots_ignored = history.snapshots, history.snapshots_ignored
    found.misfits = [await _with_id(log, each) for each in history.misfits]
    return found


def _some(sources: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many at a time."""
    for start in range(0, len(sources), _AT_ONCE):
        yield sources[start : start + _AT_ONCE]


async def _fold(log: PastLog, history: HistoryCheck, sources: Sequence[str]) -> None:
    rest = history.begin(sources)
    for snapshot in (await log.load_snapshots(list(rest))).values():
        history.look_at(snapshot)
    while rest:
        load = await log.load_rows(rest)
        history.fold(load.rows)
        rest = dict(load.rest)


async def _with_id(log: PastLog, misfit: Misfit) -> dict[str, Any]:
    found = asdict(misfit)
    found["id"] = await log.id_at(misfit.position) if misfit.position else None
    return found


def _class_here(
    name: str, record: TypeRecord, modules: Sequence[str]
) -> tuple[type[Actor[Any]] | None, str]:
    """The class of a type; or why there is none."""
    if (found := class_in(name, modules)) is not None:
        return found, ""
    module = (record.class_name or "").rpartition(".")[0]
    hint = f": {record.class_name} has decided it, so perhaps --module {module}" if module else ""
    return None, f"no class of it is here{hint}"


def _of_the_type(described: ActorType, record: TypeRecord) -> list[str]:
    found = []
    if (misfit := held_against(described, record)) is not None:
        found.append(misfit.problem)
    if record.class_name not in (None, *deciding_names(described.actor)):
        found.append(decided_by_another(described.actor, str(record.class_name)))
    return found


def _say(done: Sequence[Checked], url: str) -> None:
    if not done:
        problems.print(f"{redacted_url(url)} has no actor that a class has decided", markup=False)
    for one in done:
        says = console if one.well else problems
        says.print(_summary(one), markup=False)
        for problem in one.problems:
            problems.print(f"  {problem}", markup=False)
        for misfit in one.misfits:
            _say_misfit(misfit)


def _summary(one: Checked) -> str:
    if one.class_name is None or not one.folded:
        return f"{one.actor_type}: not folded"
    of = "" if one.folded == one.actors else f" of {one.actors:,}"
    said = f"{one.actor_type} by {one.class_name}: {one.folded:,}{of} actors, {one.events:,} events"
    if one.snapshots_ignored:
        said += f", {one.snapshots_ignored:,} of {one.snapshots:,} snapshots made anew"
    return f"{said}: all of it applies" if one.well else said


def _say_misfit(misfit: dict[str, Any]) -> None:
    if not misfit["event_type"]:
        problems.print(f"  {misfit['actors']:,} actors: {misfit['reason']}", markup=False)
        problems.print(f"    for example {misfit['source']}", markup=False)
        return
    what = f"{misfit['event_type']!r} of schema {misfit['schema']}"
    count = f"{misfit['events']:,} events of {misfit['actors']:,} actors"
    problems.print(f"  {what}, {count}: {misfit['reason']}", markup=False)
    problems.print(
        f"    for example {misfit['id']}: {misfit['source']}, version {misfit['version']:,}, "
        f"position {misfit['position']:,}", markup=False,
    )  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("actor_types", nargs="*", metavar="TYPE", help="default: all")
    options.add_argument("--against", metavar="URL", help="of the database [default: settings']")
    options.add_argument(
        "--module", action="append", default=[], metavar="MODULE", help="where actor classes are"
    )
    options.add_argument(
        "--sample", type=int, default=SAMPLE, metavar="N",
        help=f"actors of each type, 0 for all [default: {SAMPLE}]",
    )  # fmt: skip
    options.add_argument("--config", type=Path, help="settings file")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    given = options.parse_args()
    if given.sample < 0:
        options.error("--sample is a number of actors, or 0 for all")
    return check(
        Settings.load(given.config), against=given.against, actor_types=given.actor_types,
        modules=given.module, sample=given.sample, for_programs=given.json,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
