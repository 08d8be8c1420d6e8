"""What happened, as whoever uses the system saw it. The checker judges nothing else but the
log itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from actors.event import Event
from store.erasures import ErasureReceipt

#: Where PostgreSQL's time begins.
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as a caller or subscriber was given it."""

    id: bytes
    source: str
    version: int
    position: int
    event_type: str
    data: dict[str, Any]
    clock: dict[str, int]
    timestamp_us: int


def seen(event: Event) -> Seen:
    """An event, noted."""
    return Seen(
        event.id.bytes, event.source, event.version or 0, event.position or 0,
        event.event_type, dict(event.data), _sorted(event.vector_clock.counts),
        (event.timestamp - _POSTGRES_EPOCH) // timedelta(microseconds=1),
    )  # fmt: skip


@dataclass(slots=True)
class Call:
    """One call of a driver, and what came of it.

    More than fifteen fields: it is a line of a record, which checks read field by field.
    """

    number: int  #: in the order in which calls were made, over all drivers
    driver: str  #: of one connection
    kind: str  #: ask, tell, state, publish, bulk (one command of a bulk call), flush
    source: str  #: whom it is for
    message: str  #: the name of its class; empty where there is none
    fields: Mapping[str, Any]  #: of the message
    id: bytes  #: of the command; a repeat has that of its first
    sent_s: float
    deadline_s: float | None  #: by when it has to have ended; None where its driver may die
    moment: int  #: of the history, when it was made
    group: int = 0  #: the bulk call that it belongs to
    revision: int = 0  #: of the class that its driver had the host know
    after_close: bool = False  #: it was made of a connection that was closed
    ended_s: float | None = None  #: None: it has not
    ended: int = 0  #: the moment of the history when it ended
    events: list[Seen] | None = None  #: that it was answered with
    state: dict[str, Any] | None = None  #: that it was answered with
    error: str = ""  #: the name of the error's class
    arguments: tuple[str, ...] = ()  #: of that error, as texts
    repeated: bool = False  #: its reply says that it had taken effect before
    abandoned: bool = False  #: its driver died


@dataclass(slots=True)
class Reading:
    """What one subscription handed out."""

    number: int
    driver: str
    after: int | None  #: the position that it asked for; None: from then on
    event_types: str
    sources: str
    head: int = -1  #: of the log, when subscribing returned
    began_s: float = 0.0  #: when it was subscribed last
    events: list[Seen] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)  #: of the history, one an event
    position: int = -1  #: that it came to
    stays: bool = False  #: until the end: then it has to see everything
    closed: bool = False  #: its driver closed the connection, or there was no system
    abandoned: bool = False  #: its driver died
    error: str = ""  #: that it ended with


@dataclass(slots=True)
class Following:
    """What one reader of a durable subscription was given, and has finished."""

    number: int
    driver: str
    name: str  #: of the subscription
    began: int  #: the moment of the history when it asked for it
    begins: int = -1  #: the position after which it goes on; -1: nobody has said so
    opened: int = -1  #: the moment when that was said
    events: list[Seen] = field(default_factory=list)
    finished: int = 0  #: so many of them, the first ones
    kept: list[tuple[int, int]] = field(default_factory=list)  #: moments, and positions said so
    #: The moments when it said that something new is finished, and was answered that it is kept.
    said: list[int] = field(default_factory=list)
    taken: bool = False  #: it was told that somebody else has the subscription
    ended: int | None = None  #: the moment of the history


@dataclass(slots=True)
class Belonging:
    """What one member of a group was given, and has finished."""

    number: int
    name: str  #: of the group
    member: int = 0  #: as the store knows it
    joined: int = -1  #: the moment of the history when it had; -1: it has not
    lost: int | None = None  #: the moment when it was told that its group is another one
    stays: bool = False  #: it reads until the end
    given: list[tuple[int, Seen]] = field(default_factory=list)  #: with moments of the history
    in_hand: Seen | None = None
    returned: list[tuple[int, bytes]] = field(default_factory=list)  #: to be handed out again
    finished: list[Seen] = field(default_factory=list)
    told: int = 0  #: of so many it was told that some are another member's to finish
    #: Moments when it was said that those of these are kept: from one on, and up to another.
    kept: list[tuple[int, int, int]] = field(default_factory=list)

    def take(self, moment: int, event: Seen) -> None:
        """It was given this."""
        self.given.append((moment, event))
        self.in_hand = event

    def finish(self) -> None:
        """What is in hand is finished."""
        if self.in_hand is not None:
            self.finished.append(self.in_hand)
        self.in_hand = None

    def give_back(self, moment: int) -> None:
        """What is in hand comes again."""
        if self.in_hand is not None:
            self.returned.append((moment, self.in_hand.id))
        self.in_hand = None


@dataclass(slots=True)
class Running:
    """One wish of a driver: that a program runs in so many workers; 0: that it is stopped."""

    number: int
    program: str
    workers: int
    began_s: float
    ended_s: float | None = None  #: None: nobody has said how it ended
    error: str = ""  #: why it did not come about, as far as somebody said so
    mended: bool = False  #: with code that does not fail
    kind: str = "run"  #: or what else is to be done with it


@dataclass(slots=True)
class Rebuilding:
    """One wish of a driver: that the table of a projection is built anew."""

    number: int
    driver: str
    revision: int  #: of the code; 0: that which runs
    began_s: float
    ended_s: float | None = None
    error: str = ""
    abandoned: bool = False  #: its driver died


@dataclass(slots=True)
class Erasing:
    """One wish of a driver: that an actor is erased."""

    number: int
    source: str
    reason: str  #: no other wish has it
    receipt: ErasureReceipt | None = None  #: None: nobody has said that it is done
    error: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A table, as one reader saw it."""

    at_s: float
    rows: Mapping[str, tuple[Any, ...]]


@dataclass(slots=True)
class FindPage:
    """What one page of actors was asked for, and what it had."""

    number: int
    driver: str
    where: Mapping[str, Any]
    at_least: int  #: that its caller names, or the head of the log when it was asked
    after: str
    limit: int
    names: list[str] | None = None  #: None: it had an error, or nobody heard of it
    position: int = -1
    next: str | None = None
    head: int = -1  #: of the log, when it was there
    error: str = ""


@dataclass(slots=True)
class Cast:
    """One broadcast, as often as it was called under its id."""

    number: int
    token: int
    actor_type: str
    calls: list["CastCall"] = field(default_factory=list)


@dataclass(slots=True)
class CastCall:
    """One call of a broadcast."""

    driver: str
    head: int  #: of the log, when it was made
    commands: int = -1  #: that it says there were; -1: it has not ended, or with an error
    failed: list[str] = field(default_factory=list)  #: for whom
    head_then: int = -1  #: when it ended
    error: str = ""


class History:
    """All calls, readings, followings and belongings, in the order in which they began.

    More than fifteen fields: one for each kind of thing that is seen, and checks read them.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.readings: list[Reading] = []
        self.followings: list[Following] = []
        self.belongings: list[Belonging] = []
        self.runnings: list[Running] = []
        self.wishes: list[Running] = []  #: what else was to be done with programs
        self.rebuildings: list[Rebuilding] = []
        self.erasings: list[Erasing] = []
        self.looks: list[Look] = []  #: at one projection, in the order of the database
        self.finds: list[FindPage] = []
        self.casts: dict[int, Cast] = {}  #: by the number of the step that is the first
        self.closed: set[str] = set()  #: drivers that closed their connections
        self.claimed: set[bytes] = set()  #: ids of commands whose second event's id is taken
        self.unsent: set[bytes] = set()  #: ids of commands that a bulk call took and did not send
        #: By operator: when the system began to be drained, and when it ran again.
        self.away_s: dict[str, tuple[float, float]] = {}
        self.replaced = False  #: did another system take the database over?
        self.faults: list[tuple[float, str]] = []
        self.complaints: list[str] = []  #: what was noticed while it ran
        self._moment = 0

    def moment(self) -> int:
        """The next moment: they order what drivers saw and did."""
        self._moment += 1
        return self._moment

    def was_away(self, since_s: float, until_s: float) -> bool:
        """Was there no system at some time in between?"""
        return any(
            since_s <= again_s and gone_s <= until_s for gone_s, again_s in self.away_s.values()
        )

    def complain(self, what: str) -> None:
        """Something is wrong, whatever else happens."""
        self.complaints.append(what)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
