"""A test kit for stream programs: given these events, then those outputs.

    StreamScenario(delays) \\
        .given(happened(FlightDeparted(...), source="aircraft/N1", at=noon)) \\
        .then(Delayed(...))

Needs neither Ray nor Postgres; time is what the events say. It is as strict as what runs programs:
each state becomes bytes and is read back, a program that changes the state it was given is refused,
the watermark is looked at after every event, and what is asked for again is read from the events
that were given so far, as a log would give it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, Self

import msgpack
import msgspec

from actors.errors import InvalidName
from actors.event import Event, Kind, Payload
from actors.ids import derived_id, uuid_of
from actors.moments import checked_us, moment_of
from actors.naming import checked_new_source, checked_type_name
from actors.patterns import as_kinds, matcher
from actors.tell import Tell
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.plain import not_plain
from streams.program import NEVER, Change, Fact, Output, Program, Stretch
from streams.programs import program_of

#: So often may a program ask for more of the log at one event: who doubles what it asks for has
#: all of time long before.
_MOST_READINGS = 100


def happened(
    payload: Payload, *, source: str, at: datetime | int, id: bytes | None = None
) -> Event:
    """An event of a payload, as if it had come out of the log; `at` is an aware datetime or Unix
    microseconds. Without an id it has one that is made of the rest: the same arguments give equal
    events. Raises what `Event.of` does."""
    at_us = checked_us(at)
    event_id = id or derived_id(
        max(at_us, 0) // 1000, f"{source} {at_us} {payload!r}".encode("utf-8", "replace")
    )
    return Event.of(payload, source=source, id=uuid_of(event_id), timestamp=moment_of(at_us))


class Emitted(NamedTuple):
    """An output, and whose it is."""

    key: str
    payload: Payload | Fact | Tell
    at_us: int


class StreamScenario:
    """One program taken through events. Steps chain, in any order.

    Raises InvalidProgram for a program that is not well formed, for a state that is not plain, for
    a program that changes the state it was given, or asks for what can never be.
    """

    def __init__(self, program: Program | type[Handler]) -> None:
        self.program = program_of(program)
        self.outputs: list[Emitted] = []  #: all that came out so far
        self._unsaid = 0  #: from which of them on no `then` has spoken
        self._positions = 0
        #: What the program selects, by moment and position: with these, to be found by them.
        self._log: list[tuple[int, int, Event]] = []
        self._versions: dict[str, int] = {}
        self._states: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._latest_us = NEVER
        self._wants_type = matcher(self.program.event_types)
        self._wants_source = matcher(self.program.sources)
        self._kinds = as_kinds(self.program.kinds) or tuple(Kind)

    @property
    def watermark_us(self) -> int:
        """How far event time has come."""
        return NEVER if self._latest_us == NEVER else self._latest_us - self.program.disorder_us

    @property
    def keys(self) -> list[str]:
        """Those that have a state."""
        return sorted(self._states)

    def state(self, key: str) -> Any:
        """The state of a key; None where it has none."""
        packed = self._states.get(key)
        return None if packed is None else msgpack.unpackb(packed)

    def state_bytes(self) -> int:
        """How much all states are together."""
        return sum(map(len, self._states.values()))

    def given(self, *events: Event) -> Self:
        """These events come, in this order. They get positions and versions as a log gives them.
        What the program does not select is in the log and does not come to it. Raises TypeError
        for what is no event."""
        for event in events:
            if not isinstance(event, Event):
                raise TypeError(
                    f"given takes events, not {event!r:.120}: happened(payload, source=..., at=...)"
                )
            self._come(self._logged(event))
        return self

    def given_time(self, at: datetime | int) -> Self:
        """An event of that moment comes that goes to no key: the watermark moves."""
        self._pass(checked_us(at))
        return self

    def then(self, *expected: Payload | Fact | Tell | Output) -> Self:
        """Exactly this came out since the last `then`, in this order: payloads and facts, or
        outputs where the moment matters, too."""
        found: list[Emitted] = self.outputs[self._unsaid :]
        self._unsaid = len(self.outputs)
        compared = [
            Output(out.payload, out.at_us) if isinstance(wanted, Output) else out.payload
            for out, wanted in zip(found, expected, strict=False)
        ]
        if len(found) != len(expected) or compared != list(expected):
            raise AssertionError(f"expected {list(expected)}\n but got {found}")
        return self

    def _logged(self, event: Event) -> Event:
        self._positions += 1
        version = self._versions.get(event.source, 0) + 1
        self._versions[event.source] = version
        stored: Event = msgspec.structs.replace(event, position=self._positions, version=version)
        return stored

    def _come(self, event: Event) -> None:
        if not (
            self._wants_type(event.event_type)
            and self._wants_source(event.source)
            and event.kind in self._kinds
        ):
            return
        insort(self._log, (event.timestamp_us, event.position or 0, event))
        for key, item in self._routed(event):
            watermark_us = self.watermark_us
            before = self._before(key)
            change = self.program.step(key, item, event, before, watermark_us)
            self._take(key, change, before)
            self._read_again(key, change, watermark_us)
        self._pass(event.timestamp_us)

    def _routed(self, event: Event) -> Iterator[tuple[str, Any]]:
        for key, item in self.program.route(event):
            if type(key) is not str or not key:
                raise InvalidProgram(self.program.name, f"a key is a text, not {key!r:.80}")
            yield key, item

    def _read_again(self, key: str, change: Change, watermark_us: int) -> None:
        asked = list(change.again)
        for _ in range(_MOST_READINGS):
            if not asked:
                return
            stretch = asked.pop(0)
            before = self._before(key)
            items = list(self._in(stretch, key))
            change = self.program.again(key, stretch, items, before, watermark_us)
            self._take(key, change, before)
            asked += change.again
        problem = f"asks for more of the log for {key!r} without an end, last for {asked[0]}"
        raise InvalidProgram(self.program.name, problem)

    def _in(self, stretch: Stretch, key: str) -> Iterator[tuple[Any, Event]]:
        first, behind = (bisect_left(self._log, (moment_us,)) for moment_us in stretch)
        for _, _, event in self._log[first:behind]:
            yield from ((item, event) for whose, item in self._routed(event) if whose == key)

    def _pass(self, at_us: int) -> None:
        self._latest_us = max(self._latest_us, at_us)
        reached = self.watermark_us
        for key in [key for key, due_us in self._due.items() if due_us <= reached]:
            before = self._before(key)
            change = self.program.due(key, before, reached)
            if change.due_us is not None and change.due_us <= reached:
                problem = f"waits, once {reached} has come, for {change.due_us}, which came before"
                raise InvalidProgram(self.program.name, problem)
            self._take(key, change, before)
            self._read_again(key, change, reached)

    def _before(self, key: str) -> Any:
        return self.state(key) if self.program.keeps_state else None

    def _take(self, key: str, change: Change, before: Any) -> None:
        self._check_unchanged(key, before)
        self._keep(key, change.state)
        self._due.pop(key, None)
        if change.due_us is not None:
            self._due[key] = change.due_us
        for payload, at_us in change.outputs:
            self._check_output(key, payload)
            self.outputs.append(Emitted(key, payload, at_us))

    def _keep(self, key: str, state: Any) -> None:
        name = self.program.name
        if state is None:
            self._states.pop(key, None)
            return
        if not self.program.keeps_state:
            raise InvalidProgram(name, f"says that it keeps no state, and has one: {state!r:.80}")
        problem = not_plain(state)
        if problem is not None:
            raise InvalidProgram(name, f"the state of {key!r} is not plain: {problem}")
        self._states[key] = msgpack.packb(state)

    def _check_unchanged(self, key: str, before: Any) -> None:
        packed = self._states.get(key)
        if packed is not None and (not_plain(before) or msgpack.packb(before) != packed):
            raise InvalidProgram(
                self.program.name,
                f"changes the state of {key!r} that it was given: make a new one, "
                "as [*old, more] or {**old, 'field': value}",
            )

    def _check_output(self, key: str, payload: Payload | Fact | Tell) -> None:
        try:
            checked_new_source(f"{self.program.name}/{key}")
            if isinstance(payload, Fact):
                checked_type_name(payload.event_type)
                msgspec.json.encode(payload.data)
        except (InvalidName, TypeError, ValueError) as error:
            problem = f"its output for {key!r} cannot be stored: {error}"
            raise InvalidProgram(self.program.name, problem) from error


def payloads(emitted: Iterable[Emitted]) -> list[Payload | Fact | Tell]:
    """Of outputs what was put out."""
    return [each.payload for each in emitted]
