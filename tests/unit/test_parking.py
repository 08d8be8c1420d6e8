"""Stream programs that fail, in a system of one process: parked, replayed, dropped, skipped."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.event import DeviceEvent, Event
from runtime.errors import UnknownProgram
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from streams.errors import InvalidProgram
from streams.failures import OnFailure
from streams.handler import Handler
from streams.pipeline import EventPipeline
from streams.program import Change
from streams.scenario import happened
from tests.integration.systems import eventually, take
from tests.programs import Totals

LIMIT_S = 30.0
AT_ONCE = timedelta(0)


class Seen(DeviceEvent):
    """Something was."""

    n: int


class Fussy(Totals):
    """Fails at numbers that are files of a folder: in the step or, for `route-N`, before."""

    tries: int = 2
    backoff = AT_ONCE

    def __init__(self, folder: Path, on_failure: OnFailure | None = None) -> None:
        super().__init__("fussy", ["device/*"])
        self.folder = str(folder)
        self.on_failure = on_failure

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        self._check(f"route-{event.data['n']}")
        yield event.source, None

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        self._check(f"{event.data['n']}")
        return super().step(key, item, event, state, watermark_us)

    def _check(self, name: str) -> None:
        if (Path(self.folder) / name).exists():
            raise ValueError(f"not {name}")


def publish(system: ActorSystem, number: int, source: str) -> None:
    event = happened(Seen(n=number), source=f"device/{source}", at=datetime.now(UTC))
    system.publish(event).result(LIMIT_S)


def facts(system: ActorSystem) -> list[WorkerFacts]:
    return [
        status.facts
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts)
    ]


def wait_reached(system: ActorSystem, position: int) -> None:
    eventually(lambda: all(one.position >= position for one in facts(system)))


def totals(system: ActorSystem, wanted: int) -> dict[str, list[int]]:
    """The first counts that came out, so many, by source."""
    found: dict[str, list[int]] = {}
    with system.subscribe("totalled", after=0) as outputs:
        for event in take(outputs, wanted):
            source = event.source.removeprefix("fussy/device/")
            found.setdefault(source, []).append(event.data["count"])
    return found


def test_a_key_is_parked_and_replayed_when_its_code_is_mended(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (bad := tmp_path / "1").touch()
    memory_system.run(Fussy(tmp_path), workers=2).result(LIMIT_S)
    for number, source in enumerate("aabab"):
        publish(memory_system, number, source)
    assert totals(memory_system, 3) == {"a": [1], "b": [1, 2]}
    [letters] = eventually(lambda: memory_system.dead_letters("fussy").result(LIMIT_S))
    assert (letters.program, letters.key, letters.source) == ("fussy", "device/a", None)
    assert (letters.reason, letters.tries) == ("ValueError: not 1", 2)
    assert (letters.event.source, letters.event.data) == ("device/a", {"n": 1})
    assert "test_parking.py" in letters.frames[-1]
    eventually(lambda: memory_system.dead_letters().result(LIMIT_S)[0].letters == 2)
    assert sum(one.parked for one in facts(memory_system)) == 1
    assert sum(one.letters for one in facts(memory_system)) == 2
    assert not any(one.paused for one in facts(memory_system))
    again = memory_system.replay_dead_letters("fussy").result(LIMIT_S)
    assert (again.events, again.parked) == (0, {"the key 'device/a'": "ValueError: not 1"})
    assert memory_system.dead_letters().result(LIMIT_S)[0].tries == 3
    bad.unlink()
    replayed = memory_system.replay_dead_letters("fussy", key="device/a").result(LIMIT_S)
    assert (replayed.events, replayed.parked) == (2, {})
    assert memory_system.dead_letters().result(LIMIT_S) == []
    publish(memory_system, 9, "a")
    assert totals(memory_system, 6) == {"a": [1, 2, 3, 4], "b": [1, 2]}


def test_what_is_parked_stays_so_for_other_workers(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (bad := tmp_path / "route-0").touch()
    memory_system.run(Fussy(tmp_path), workers=3).result(LIMIT_S)
    publish(memory_system, 0, "a")
    eventually(lambda: len(memory_system.dead_letters().result(LIMIT_S)) == 1)
    wait_reached(memory_system, 1)
    memory_system.run(Fussy(tmp_path), workers=2).result(LIMIT_S)
    publish(memory_system, 1, "a")
    publish(memory_system, 2, "b")
    assert totals(memory_system, 1) == {"b": [1]}
    wait_reached(memory_system, 3)
    [letters] = memory_system.dead_letters().result(LIMIT_S)
    assert (letters.key, letters.source, letters.letters) == (None, "device/a", 2)
    bad.unlink()
    replayed = memory_system.replay_dead_letters("fussy", source="device/a").result(LIMIT_S)
    assert replayed.parked == {}
    assert totals(memory_system, 3) == {"a": [1, 2], "b": [1]}
    assert memory_system.dead_letters().result(LIMIT_S) == []


def test_dead_letters_are_dropped_and_the_key_goes_on_without_them(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    (tmp_path / "1").touch()
    memory_system.run(Fussy(tmp_path), workers=1).result(LIMIT_S)
    for number in range(3):
        publish(memory_system, number, "a")
    wait_reached(memory_system, 3)
    with pytest.raises(ValueError, match="and not both"):
        memory_system.drop_dead_letters("fussy", key="device/a", source="device/a")
    assert memory_system.drop_dead_letters("fussy", key="device/b").result(LIMIT_S) == 0
    assert memory_system.drop_dead_letters("fussy", key="device/a").result(LIMIT_S) == 2
    publish(memory_system, 3, "a")
    assert totals(memory_system, 2) == {"a": [1, 2]}
    assert memory_system.dead_letters().result(LIMIT_S) == []


def test_who_skips_passes_over_the_key_alone(memory_system: ActorSystem, tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    memory_system.run(Fussy(tmp_path, "skip"), workers=1).result(LIMIT_S)
    for number in range(3):
        publish(memory_system, number, "a")
    assert totals(memory_system, 2) == {"a": [1, 2]}
    assert memory_system.dead_letters().result(LIMIT_S) == []
    assert facts(memory_system)[0].failures == 2


def test_replays_are_refused_where_nothing_can_be_replayed(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    with pytest.raises(UnknownProgram, match="no stream program 'fussy' runs here"):
        memory_system.replay_dead_letters("fussy").result(LIMIT_S)
    (bad := tmp_path / "1").touch()
    memory_system.run(Fussy(tmp_path, "pause"), workers=1).result(LIMIT_S)
    publish(memory_system, 0, "a")
    publish(memory_system, 1, "a")
    eventually(lambda: facts(memory_system)[0].paused)
    nothing = memory_system.replay_dead_letters("fussy").result(LIMIT_S)
    assert (nothing.events, nothing.parked) == (0, {})
    eventually(lambda: facts(memory_system)[0].paused)  # it stands there again
    bad.unlink()
    assert memory_system.resume("fussy").result(LIMIT_S) == 1
    assert totals(memory_system, 2) == {"a": [1, 2]}


@pytest.mark.thornback(processing={"max_parked_keys": 1})
def test_a_program_that_fails_at_everything_pauses(
    memory_system: ActorSystem, tmp_path: Path
) -> None:
    for number in (0, 1):
        (tmp_path / f"{number}").touch()
    memory_system.run(Fussy(tmp_path), workers=1).result(LIMIT_S)
    for number, source in enumerate("abc"):
        publish(memory_system, number, source)
    [stands] = eventually(lambda: [one for one in facts(memory_system) if one.paused])
    assert (stands.parked, stands.position) == (1, 1)
    assert "more are not allowed (max_parked_keys)" in (stands.trouble or "")
    (tmp_path / "0").unlink()
    replayed = memory_system.replay_dead_letters("fussy").result(LIMIT_S)
    assert replayed.events == 1  # and there is room for the next one
    assert totals(memory_system, 2) == {"a": [1], "c": [1]}
    [letters] = memory_system.dead_letters().result(LIMIT_S)
    assert letters.key == "device/b"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({"on_failure": "ignore"}, "'park', 'skip', 'pause', not 'ignore'", id="what"),
        pytest.param({"tries": 0}, "tries is a number from 1 to 100, not 0", id="tries"),
        pytest.param({"backoff": 3}, "backoff is a timedelta, and not negative: 3", id="backoff"),
    ],
)
def test_a_policy_that_is_none_is_refused(
    memory_system: ActorSystem, said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidProgram, match=problem):
        EventPipeline("p", **said)
    handler = type("Alarms", (Handler,), {"event_types": "*", "handle": lambda *_: [], **said})
    with pytest.raises(InvalidProgram, match=problem):
        memory_system.run(handler)
    program = Totals("totals", ["*"])
    for name, value in said.items():
        setattr(program, name, value)
    with pytest.raises(InvalidProgram, match=problem):
        memory_system.run(program)
