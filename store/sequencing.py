"""One receiver of numbered things: in each sender's order, and with an end to every wait.

Calls to an async actor may overtake one another, so a sender numbers what it sends, from
0 within a generation, and the receiver here puts that back in order. Once anything of a
generation is turned away, so is all that follows it there; the sender then begins a new
generation. It sends the first of a generation alone: a receiver that was restarted, and
knows of no sender, can then tell a beginning from a middle, and takes none from there.

A host's mailbox and the writer's group commit are both such receivers. Nothing in here
waits: what arrives is due now, or early (kept until the ones before it have come), or
turned away, and whoever calls passes that on.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

#: A sender's generations in their order: a number, or (epoch, number).
Stand = TypeVar("Stand", int, tuple[int, int])
Sender = TypeVar("Sender", bound=Hashable)
Item = TypeVar("Item")


class Why(Enum):
    """Why something was turned away on its arrival."""

    OLD = auto()  #: its sender has begun a newer generation since
    OVER = auto()  #: something before it in its generation was turned away
    MIDDLE = auto()  #: its generation did not begin here: the first of it never came
    AGAIN = auto()  #: its number came before
    NOT_TAKEN = auto()  #: the receiver does not take it


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival(Generic[Item]):
    """What one arrival led to."""

    why: Why | None = None  #: why the one that arrived was turned away; None: it was not
    due: tuple[Item, ...] = ()  #: what is to be worked on now, in order
    turned_away: tuple[Item, ...] = ()  #: what had come early and will not become due


@dataclass(slots=True)
class _Order(Generic[Stand, Item]):
    """Where a sender stands."""

    stand: Stand  #: its newest generation
    next: int = 0  #: the number that becomes due next
    over: bool = False  #: something of this generation was turned away
    early: dict[int, Item] = field(default_factory=dict)

    def leave(self) -> tuple[Item, ...]:
        """What had come early, which is forgotten here."""
        left = tuple(self.early[number] for number in sorted(self.early))
        self.early.clear()
        return left


class Sequencer(Generic[Sender, Stand, Item]):
    """Puts what arrives into each sender's order.

    Of at most `max_senders` it knows where they stand; who has been silent longest is
    forgotten, and begins a new generation.
    """

    def __init__(self, *, max_senders: int) -> None:
        self._max_senders = max_senders
        self._orders: dict[Sender, _Order[Stand, Item]] = {}  # who was heard last is last

    def arrive(
        self, sender: Sender, stand: Stand, number: int, item: Item, *, taken: bool = True
    ) -> Arrival[Item]:
        """Take what a sender sent as the `number`-th of its generation `stand`.

        What the receiver has no room for, or cannot make sense of, is not `taken`: it is
        turned away then, with all that follows it.
        """
        left: list[Item] = []
        order = self._heard(sender, stand, left)
        if stand < order.stand:
            return Arrival(why=Why.OLD)
        if stand > order.stand:
            left += order.leave()
            order.stand, order.next, order.over = stand, 0, False
        why = _why_not(order, number, taken=taken)
        if why is None:
            order.early[number] = item
            return Arrival(due=tuple(_due(order)), turned_away=tuple(left))
        if why is not Why.AGAIN:
            order.over = True
            left += order.leave()
        return Arrival(why=why, turned_away=tuple(left))

    def turn_away(self, sender: Sender, stand: Stand) -> tuple[Item, ...]:
        """Something that was due in this generation is turned away after all, and with it
        all that follows there. Returns what had come early; what is due already, and
        neither worked on nor answered, is for the caller to turn away."""
        order = self._orders.get(sender)
        if order is None or stand != order.stand:
            return ()
        order.over = True
        return order.leave()

    def turn_away_early(self) -> tuple[Item, ...]:
        """The generations are over in which something came early. Returns what did."""
        left: list[Item] = []
        for order in self._orders.values():
            if order.early:
                order.over = True
                left += order.leave()
        return tuple(left)

    def turn_away_all(self) -> tuple[Item, ...]:
        """Every sender's present generation is over. Returns what had come early."""
        left: list[Item] = []
        for order in self._orders.values():
            order.over = True
            left += order.leave()
        return tuple(left)

    def stands(self, sender: Sender, stand: Stand) -> bool:
        """Is this the sender's newest generation, and nothing of it turned away?"""
        order = self._orders.get(sender)
        return order is not None and order.stand == stand and not order.over

    def newest(self, sender: Sender) -> Stand | None:
        """The newest generation of a sender; None for one that is not known."""
        order = self._orders.get(sender)
        return None if order is None else order.stand

    def _heard(self, sender: Sender, stand: Stand, left: list[Item]) -> _Order[Stand, Item]:
        order = self._orders.pop(sender, None)
        if order is None:
            while len(self._orders) >= self._max_senders:
                left += self._orders.pop(next(iter(self._orders))).leave()
            order = _Order(stand)
        self._orders[sender] = order
        return order


def _why_not(order: _Order[Stand, Item], number: int, *, taken: bool) -> Why | None:
    """Why this number is not taken in the order's generation; None if it is."""
    if order.over:
        return Why.OVER
    if number < order.next or number in order.early:
        return Why.AGAIN
    if number and not order.next:
        return Why.MIDDLE
    return None if taken else Why.NOT_TAKEN


def _due(order: _Order[Stand, Item]) -> Iterator[Item]:
    while order.next in order.early:
        yield order.early.pop(order.next)
        order.next += 1
