"""A test over many nights, each by a seed of its own: what it is told where one fails."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec

from runtime.process.partitioning import check_one_partition
from runtime.settings.settings import Settings
from thornback.simulation.chosen_seed import chosen_seed
from thornback.simulation.errors import NotRepeatable
from thornback.simulation.night import Night
from thornback.simulation.night_run import NightRun, Outcome, Test, no_collection
from thornback.simulation.reducing import fewest
from thornback.simulation.striking import Fault
from thornback.simulation.trouble import Faults, told

P = ParamSpec("P")

Sections = Mapping[str, Mapping[str, Any]]

#: So many events of the log are told, the last ones, and so many faults.
TOLD_EVENTS, TOLD_FAULTS = 15, 40
#: A failing night is run again at most so often to find out which of its faults it takes.
TRIES = 60


def simulate(
    test: Test,
    nights: int = 100,
    *,
    seeds: Iterable[int] | None = None,
    faults: Faults | None = None,
    settings: Sections | None = None,
    reduce: bool = True,
) -> list[Outcome]:
    """Run a test over so many nights, of the seeds 0, 1, 2 ... or of those that are given: each
    with a new system of processes that are the real ones, in virtual time, with `faults`.

    The first night is run twice, to see that it repeats itself. The first one that fails ends it:
    what the test raised is raised, with notes that say the seed, how to repeat it, which faults it
    takes, where `reduce` says so, and the last events of the log. A night fails as well where what
    Thornback promises does not hold (PromiseBroken), where the test waits for what nothing brings
    about (WaitsForEver), where code asks for what a simulation does not have (NotSimulated), and
    where a seed is not the same twice (NotRepeatable).

    `settings` are those of the system, section by section, on top of those of the project's file;
    neither the environment nor the file's database counts.
    """
    wanted = list(range(nights) if seeds is None else seeds)
    if (only := chosen_seed()) is not None:
        wanted = [only]
    system, troubles = simulated_settings(settings or {}), Faults() if faults is None else faults
    outcomes: list[Outcome] = []
    with ExitStack() as during:
        during.enter_context(no_collection())
        for number, seed in enumerate(wanted):
            outcome = NightRun(seed, system, troubles).run(test)
            if outcome.error is not None:
                _fail(outcome, test, system, troubles, reduce=reduce)
            if number == 0:
                _check_repeats(outcome, NightRun(seed, system, troubles).run(test))
            outcomes.append(outcome)
    return outcomes


def simulated(
    nights: int = 100,
    *,
    seeds: Iterable[int] | None = None,
    faults: Faults | None = None,
    settings: Sections | None = None,
    reduce: bool = True,
) -> Callable[[Callable[Concatenate[Night, P], Awaitable[None]]], Callable[P, None]]:
    """Make a test of a coroutine function that takes a Night: see `simulate`. What else it takes
    are pytest's fixtures; they are the same for all nights.

        @simulated(nights=100)
        async def test_the_kitchen_stays_warm(night: Night) -> None:
            kitchen = night.system.actor(Thermostat, "kitchen")
            ...
    """

    def decorate(
        test: Callable[Concatenate[Night, P], Awaitable[None]],
    ) -> Callable[P, None]:
        if not inspect.iscoroutinefunction(test):
            raise TypeError(f"{test.__qualname__} is to be an `async def` that takes a Night")

        @functools.wraps(test)
        def run(*args: P.args, **named: P.kwargs) -> None:
            simulate(
                lambda night: test(night, *args, **named),
                nights,
                seeds=seeds,
                faults=faults,
                settings=settings,
                reduce=reduce,
            )

        taken = inspect.signature(test)
        fixtures = list(taken.parameters.values())[1:]
        del run.__wrapped__
        run.__signature__ = taken.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate


def simulated_settings(sections: Sections) -> Settings:
    """Settings of a simulated system. Raises ConfigurationError, and NotPossible for several
    partitions."""
    fixed: dict[str, dict[str, Any]] = {
        "actor_system": {"namespace": "simulation"},
        "event_store": {
            "type": "postgres", "connection_string": "postgresql://simulated",
        },
        "metrics": {"port": 0},
        "gateway": {"enabled": False},
    }  # fmt: skip
    merged = {
        name: {**sections.get(name, {}), **fixed.get(name, {})} for name in {*sections, *fixed}
    }
    settings = Settings.load(None, environ={}, **merged)
    check_one_partition(settings, "a simulated system has one partition")
    return settings


def _check_repeats(first: Outcome, second: Outcome) -> None:
    if first.digest == second.digest:
        return
    difference = f"it took {first.steps} steps, and then {second.steps}"
    for one, other in zip(first.log, second.log, strict=False):
        if one != other:
            difference = (
                f"event {one.position} is {one.event_type} of {one.source} with "
                f"{one.data.decode()}, and then {other.event_type} of {other.source} with "
                f"{other.data.decode()}"
            )
            break
    raise NotRepeatable(first.seed, difference)


def _fail(
    outcome: Outcome, test: Test, settings: Settings, faults: Faults, *, reduce: bool
) -> None:
    error = outcome.error
    assert error is not None
    took = timedelta(seconds=round(outcome.virtual_s))
    error.add_note(
        f"\nseed {outcome.seed}, after {took} of virtual time. To run it alone: "
        f"pytest --simulation-seed {outcome.seed}, or seeds=[{outcome.seed}]"
    )
    error.add_note(_what_happened(outcome))
    if reduce and outcome.faults and isinstance(error, Exception):
        error.add_note(_reduced(outcome, test, settings, faults))
    raise error


def _what_happened(outcome: Outcome) -> str:
    lines = ["what went wrong before that, and the test's own notes:"]
    lines += [f"  {_at(at_s)}  {what}" for at_s, what in outcome.told[-TOLD_FAULTS:]] or [
        "  nothing"
    ]
    lines.append(f"the last of the log's {len(outcome.log)} events:")
    lines += [
        f"  {record.position:>5}  {record.source} {record.event_type} version {record.version} "
        f"{record.data.decode()[:120]}"
        for record in outcome.log[-TOLD_EVENTS:]
    ]
    return "\n".join(lines)


def _reduced(outcome: Outcome, test: Test, settings: Settings, faults: Faults) -> str:
    """Which of its faults are enough, as far as a few tries can tell."""
    left = TRIES

    def fails(tried: list[Fault]) -> bool:
        nonlocal left
        left -= 1
        if left < 0:
            return False
        again = NightRun(outcome.seed, settings, faults, tried).run(test)
        return type(again.error) is type(outcome.error)

    if not fails(list(outcome.faults)):
        return "with these faults at these times alone it does not fail: it takes the seed's draws"
    needed = fewest(list(outcome.faults), fails)
    if not needed:
        return "it fails without any fault as well"
    lines = [f"of its {len(outcome.faults)} faults these are enough:"]
    return "\n".join([*lines, *(f"  {_at(each.at_s)}  {told(each)}" for each in needed)])


def _at(at_s: float) -> str:
    return str(timedelta(seconds=round(at_s, 3)))[:11].ljust(11)
