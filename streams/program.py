"""A stream program, as whatever runs it sees it: a pure function of events, one key at a time.

Handlers and pipelines are programs. What runs them (runtime/processing) reads the log, keeps the
state of each key, and commits state, outputs and checkpoint together; what a program does, it does
here, without I/O and without a clock: time is what the events say.

**Time.** The watermark is how far event time has come: the latest moment that an event of the
program has shown so far, less the program's `disorder_us`. Every moment here is in Unix
microseconds.

**Order.** For each event, in the order of the log: its items go through `step`, each with the
watermark of before; what one of them asks for again is answered, by `again` with that same
watermark, before the next item of the key; then the watermark moves; then `due` is called for each
key that was waiting for what has come.

**States.** A state that a call was given stays as it is: whoever runs a program may give it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from actors.event import Event, Kind, Payload
from actors.tell import Tell

#: The watermark before the first event: earlier than any moment.
NEVER = -(2**63)


@dataclass(frozen=True, slots=True)
class Fact:
    """A payload that no class of this program describes: its type, its kind and its data, which are
    JSON values."""

    event_type: str
    kind: Kind
    data: Mapping[str, Any]
    schema_version: int = 1  #: of which schema the data is


class Output(NamedTuple):
    """An event that a program puts out, or a message to an actor; it becomes the next version of
    `PROGRAM/KEY`."""

    payload: Payload | Fact | Tell
    #: When it happened: the event's `timestamp`.
    at_us: int


class Stretch(NamedTuple):
    """Of event time: from `start_us`, and before `end_us`."""

    start_us: int
    end_us: int


class Change(NamedTuple):
    """What one step of one key comes to."""

    #: The key's state from now on, of plain values (None, bool, int, float, str, bytes, list, dict
    #: with text for keys); None: there is none to be kept.
    state: Any = None
    outputs: Sequence[Output] = ()
    #: Call `due` as soon as the watermark is there; None: at no moment. It replaces what was said
    #: for this key before. Of a `step` or an `again` it may be a moment that has come already.
    due_us: int | None = None
    #: Stretches whose events are wanted again, from the log: `again` is called with those of them.
    again: Sequence[Stretch] = ()


class Program(Protocol):
    """What handlers and pipelines are. All of it is deterministic: the same calls in the same order
    come to the same changes, on any machine."""

    #: A kebab-case name; outputs have the source `name/KEY`, and nobody else makes events of those.
    name: str
    #: Patterns of what is selected, as those of a subscription.
    event_types: Sequence[str]
    sources: Sequence[str]
    #: Of events; none: all.
    kinds: Sequence[Kind]
    #: So much later than another may an event come that happened before it, and be in time.
    disorder_us: int
    #: Has any key a state? Where none has, `state` is None in every call, and nothing is loaded.
    keeps_state: bool

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """The items that come of an event before keys have a say, each with the key it goes to, in
        order. Stateless: every worker calls it for every event, and keeps those of its own keys.
        """

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """An item has come for a key. The watermark is that of before its event."""

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """The watermark has come to what this key was waiting for (`Change.due_us`)."""

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """All items that the log has for this key in a stretch of event time, in the order of
        their moments, and of their positions where these are equal: what `Change.again` asked for.
        The event whose step has asked is among them, and none that comes after it in the log: or
        what comes out would depend on how far the log had come when somebody looked. An `again` may
        ask again, for a wider stretch, about the same event."""
