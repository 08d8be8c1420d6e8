"""The actors of the simulation: a ledger that keeps every token it was given, in order.

Its state is the list of tokens, so that whoever sees a state sees which prefix of the log it
is the fold of. Its messages take every way through a host: one event, several, none, a
rejection, a failure, a state that was spoilt, a row that the database does not hold.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import BusinessEvent, DeviceEvent, Event, Payload
from actors.listening import listens
from actors.messages import MessageRefused
from actors.supervision import RestartPolicy, Supervision
from actors.tell import Tell
from actors.timers import Schedule
from tests.simulation.bells import Bell as Bell
from tests.simulation.bells import Unwind as Unwind
from tests.simulation.bells import Wind as Wind
from tests.simulation.blocking import block


class Note(Command):
    """Keep a token, so many times. The handler changes its parts, as handlers may."""

    token: int
    times: int = 1
    parts: dict[str, Any] = Field(default={})


class NoteOnce(Command):
    """Keep a token unless an equal one is kept: then there is nothing to do."""

    token: int


class NoteUnlessFull(Command):
    """Keep a token unless so many are kept: then it is rejected."""

    token: int
    limit: int


class Refuse(Command):
    """Rejected in one of several ways, always."""

    token: int
    way: str


class Break(Command):
    """Yields an event and then fails with something that is no rejection."""

    token: int


class Spoil(Command):
    """Yields an event whose application fails."""

    token: int


class Poison(Command):
    """Yields what the database does not hold."""

    token: int


class Idle(Command):
    """Nothing to do."""

    token: int


class Unhandled(Command):
    """No actor handles this."""

    token: int


class Demand(Command):
    """Keep a token, with a field that the handler's own class checks."""

    token: int
    positive: int


class Open(Command):
    """From now on, and until the next token, tokens are kept that ask for it."""

    token: int


class NoteIfOpen(Command):
    """Keep a token where it is open, and close: else it is rejected."""

    token: int


class Pass(Command):
    """Send a message along a way of actors, some of which may refuse it: so many times."""

    token: int
    ways: list[list[str]]


class Take(Command):
    """A message of a ledger. How it is taken stands in it, and who is to have it next."""

    token: int
    hop: int
    how: str
    rest: list[str]  #: source, how, source, how ...


class Noted(DeviceEvent):
    """A token was kept."""

    token: int
    number: int
    revision: int = 1
    parts: dict[str, Any] = Field(default={})


class Opened(DeviceEvent):
    """The next token may ask whether it is open."""

    token: int


class Passed(DeviceEvent):
    """Messages were sent."""

    token: int


class Taken(DeviceEvent):
    """A message was taken."""

    token: int
    hop: int


class TakenBack(DeviceEvent):
    """A message came back."""

    token: int
    hop: int
    error: str


class Spoilt(BusinessEvent):
    """Cannot be applied."""

    token: int


class Poisoned(DeviceEvent):
    """Cannot be stored."""

    token: int
    text: str


class Overdrawn(Rejected):
    """A rejection of its own class."""


class Odd(Rejected):
    """A rejection whose argument is no plain value."""


class Panic(BaseException):
    """What an extension in Rust raises is no Exception."""


class Unspeakable(Rejected):
    """A rejection whose text cannot be had."""

    def __init__(self) -> None:
        pass

    def __str__(self) -> str:
        raise Panic

    __repr__ = __str__


class LedgerState(BaseModel):
    tokens: list[int] = Field(default=[], alias="kept-tokens")
    latest: dict[str, Any] = {}  #: the parts of the last event, and which token it had
    open: bool = False
    taken: int = 0  #: messages


class Ledger(Actor[LedgerState]):
    """Keeps tokens."""

    ignores = (Poisoned,)  # the database does not hold it, so no state depends on it
    indexes: ClassVar[tuple[str, ...]] = ("open", "taken")
    revision = 1

    @handles
    def note(self, message: Note) -> Iterator[Payload]:
        parts = message.parts
        if "marks" in parts:
            parts["marks"].append("handled")
        for number in range(message.times):
            yield Noted(token=message.token, number=number, revision=self.revision, parts=parts)

    @handles
    def note_once(self, message: NoteOnce) -> Iterator[Payload]:
        if message.token not in self.state.tokens:
            yield Noted(token=message.token, number=0, revision=self.revision)

    @handles
    def note_unless_full(self, message: NoteUnlessFull) -> Iterator[Payload]:
        if len(self.state.tokens) >= message.limit:
            raise Rejected(f"full at {message.limit}")
        yield Noted(token=message.token, number=0, revision=self.revision)

    @handles
    def refuse(self, message: Refuse) -> Iterator[Payload]:
        if message.way == "own class":
            raise Overdrawn("overdrawn")
        if message.way == "odd":
            raise Odd(ValueError("what does not travel"))  # type: ignore[arg-type]
        if message.way == "unspeakable":
            raise Unspeakable
        if message.way == "late":
            yield Noted(token=message.token, number=0)
        raise Rejected("as asked")

    @handles
    def open(self, message: Open) -> Iterator[Payload]:
        yield Opened(token=message.token)

    @handles
    def note_if_open(self, message: NoteIfOpen) -> Iterator[Payload]:
        if not self.state.open:
            raise Rejected("it is closed")
        yield Noted(token=message.token, number=0, revision=self.revision)

    @handles
    def break_down(self, message: Break) -> Iterator[Payload]:
        yield Noted(token=message.token, number=0)
        raise RuntimeError("broken")

    @handles
    def spoil(self, message: Spoil) -> Iterator[Payload]:
        yield Noted(token=message.token, number=0)
        yield Spoilt(token=message.token)

    @handles
    def poison(self, message: Poison) -> Iterator[Payload]:
        yield Poisoned(token=message.token, text="poisonous")

    @handles
    def idle(self, message: Idle) -> Any:
        return None

    @handles
    def demand(self, message: Demand) -> Iterator[Payload]:
        yield Noted(token=message.token, number=0, revision=self.revision)

    @handles
    def pass_on(self, message: Pass) -> Iterator[Payload | Tell]:
        yield Passed(token=message.token)
        for way in message.ways:
            yield _next(message.token, 0, way)

    @handles
    def take(self, message: Take) -> Iterator[Payload | Tell]:
        how = message.how
        if how == "refuse" or (how == "by turns" and self.state.taken % 2):
            raise Rejected("as asked")
        if how == "break":
            raise RuntimeError("broken")
        if how != "idle":
            yield Taken(token=message.token, hop=message.hop)
        if message.rest and how != "idle":
            yield _next(message.token, message.hop + 1, message.rest)

    @handles
    def take_back(self, message: MessageRefused) -> Iterator[TakenBack]:
        data = message.message
        yield TakenBack(token=data["token"], hop=data["hop"], error=message.error)

    @applies
    def passed(self, event: Passed) -> None:
        pass

    @applies
    def was_taken(self, event: Taken) -> None:
        self.state.taken += 1

    @applies
    def came_back(self, event: TakenBack) -> None:
        self.state.taken += 1

    @applies
    def noted(self, event: Noted) -> None:
        self.state.tokens.append(event.token)
        self.state.latest = event.parts  # kept, and changed from now on
        self.state.latest.setdefault("marks", []).append(event.token)
        self.state.open = False

    @applies
    def opened(self, event: Opened) -> None:
        self.state.open = True

    @applies
    def spoilt(self, event: Spoilt) -> None:
        raise RuntimeError("spoilt")


class Heard(DeviceEvent):
    """A token of somebody else."""

    token: int


class Ear(Actor[LedgerState]):
    """Hears what ledgers note, and what they send: some of it twice, some of it in vain."""

    ignores = (Heard,)

    @listens("noted", sources="ledger/*", name=lambda event: _ears(event.data["token"]))
    def hear(self, event: Event) -> Iterator[Heard]:
        if event.data["token"] % 7 == 0:
            raise Rejected("no sevens")
        yield Heard(token=event.data["token"])

    @listens("pass*", name=lambda event: "passed")
    def hear_more(self, event: Event) -> Iterator[Heard]:
        yield Heard(token=event.data["token"])


def _ears(token: int) -> tuple[str, ...] | None:
    """Who hears a token: one, two or none."""
    return None if token % 5 == 0 else ("left", "right") if token % 3 == 0 else ("left",)


def _next(token: int, hop: int, way: list[str]) -> Tell:
    source, how, *rest = way
    return Tell(source, Take(token=token, hop=hop, how=how, rest=rest))


class Rent(Command):
    """Have it told something, long after all else."""

    token: int
    key: str
    after_ms: int


class Tenant(Ledger):
    """The same, of which everything is erased sometimes; with timers that nobody lives to see."""

    actor_type = "tenant"

    @handles
    def rent(self, message: Rent) -> Iterator[Schedule]:
        note = Note(token=message.token)
        yield Schedule(after=message.after_ms / 1000, key=message.key, message=note)


class Block(Command):
    """Keep a token, after so many seconds in which its handler keeps its host from all else."""

    token: int
    how: str
    seconds: float


class Pump(Ledger):
    """The same, whose handlers may block."""

    actor_type = "pump"
    time_limit_s = 0.5

    @handles
    def block(self, message: Block) -> Iterator[Payload]:
        block(message.token, message.how, message.seconds)
        yield Noted(token=message.token, number=0, revision=self.revision)


class Vault(Ledger):
    """The same, with hosts of its own where a plan places it so."""

    actor_type = "vault"
    supervision = Supervision(
        policy=RestartPolicy(intensity=2, period_s=3.0, backoff_s=0.1, jitter=0.5)
    )
