"""Sequencing: whatever arrives in whatever order, what becomes due is in order."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from store.sequencing import Arrival, Sequencer, Why

SENDERS = "abc"

senders = st.sampled_from(SENDERS)
generations = st.integers(0, 3)
arrivals = st.tuples(
    st.just("arrive"),
    senders,
    generations,
    st.integers(0, 5),
    st.sampled_from([True] * 9 + [False]),
)
refusals = st.tuples(st.just("refuse"), senders, generations)
operations = st.one_of(
    arrivals, arrivals, arrivals, refusals, st.just(("turn_away_all",)), st.just(("restart",))
)


@dataclass
class Receiving:
    """A receiver, and what has become of each item: one state at a time."""

    max_senders: int
    early: set[int] = field(default_factory=set)
    due: list[int] = field(default_factory=list)
    turned_away: set[int] = field(default_factory=set)
    #: of each item: sender, generation, number
    items: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    over: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new receiver, which knows of no sender; what its predecessor held is gone."""
        self.sequencer: Sequencer[str, int, int] = Sequencer(max_senders=self.max_senders)
        self.turned_away |= self.early
        self.early = set()
        self.next: dict[tuple[str, int], int] = {}
        self.over = set()

    def arrive(self, sender: str, generation: int, number: int, taken: bool) -> Why | None:
        """One item arrives; every promise about what that leads to is checked."""
        item = len(self.items)
        self.items[item] = (sender, generation, number)
        arrival = self.sequencer.arrive(sender, generation, number, item, taken=taken)
        for each in arrival.turned_away:
            self.early.remove(each)
            self.turned_away.add(each)
        if arrival.why is None:
            self.early.add(item)
        else:
            self.turned_away.add(item)
            assert not arrival.due
        self._become_due(arrival)
        if arrival.why in (Why.OVER, Why.MIDDLE, Why.NOT_TAKEN):
            self._end(sender, generation)
        return arrival.why

    def refuse(self, sender: str, generation: int) -> None:
        """Something of a generation is refused."""
        known = self.sequencer.newest(sender) == generation
        left = self.sequencer.turn_away(sender, generation)
        self._leave(left)
        if known:
            self._end(sender, generation)
        else:
            assert not left

    def turn_away_all(self) -> None:
        """Everybody's generation is over."""
        self._leave(self.sequencer.turn_away_all())
        assert not self.early
        for sender in SENDERS:
            if (generation := self.sequencer.newest(sender)) is not None:
                self._end(sender, generation)

    def _become_due(self, arrival: Arrival[int]) -> None:
        for item in arrival.due:
            self.early.remove(item)
            self.due.append(item)
            sender, generation, number = self.items[item]
            assert (sender, generation) not in self.over, "due after a refusal"
            assert generation == self.sequencer.newest(sender), "due after a newer one began"
            assert self.sequencer.stands(sender, generation)
            assert number == self.next.get((sender, generation), 0), "out of order"
            self.next[sender, generation] = number + 1

    def _leave(self, left: tuple[int, ...]) -> None:
        for each in left:
            self.early.remove(each)
            self.turned_away.add(each)

    def _end(self, sender: str, generation: int) -> None:
        self.over.add((sender, generation))
        assert not self.sequencer.stands(sender, generation)
        assert not any(self.items[item][:2] == (sender, generation) for item in self.early)


@given(st.lists(operations, max_size=60))
def test_every_item_is_due_in_order_or_early_or_turned_away(
    steps: list[tuple[object, ...]],
) -> None:
    receiving = Receiving(max_senders=len(SENDERS))
    for name, *arguments in steps:
        getattr(receiving, str(name))(*arguments)
        due = set(receiving.due)
        assert len(due) == len(receiving.due)
        assert due | receiving.early | receiving.turned_away == set(receiving.items)
        assert len(due) + len(receiving.early) + len(receiving.turned_away) == len(receiving.items)


@given(
    st.permutations(range(1, 7)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=4),
)
def test_a_generation_that_arrives_whole_becomes_due_whole_whatever_overtakes_or_recurs(
    order: list[int], recurring: list[tuple[int, int]]
) -> None:
    """The first travels alone; repeats arrive anywhere behind it."""
    arriving = [0, *order]
    for place, number in recurring:
        arriving.insert(1 + place, number)
    receiving = Receiving(max_senders=1)
    why = [receiving.arrive("a", 0, number, True) for number in arriving]
    assert [receiving.items[item][2] for item in receiving.due] == list(range(7))
    assert why.count(Why.AGAIN) == len(recurring) == len([each for each in why if each])


@given(st.integers(1, 9), st.permutations(range(4)))
def test_a_receiver_takes_no_generation_from_its_middle(begin: int, order: list[int]) -> None:
    receiving = Receiving(max_senders=1)
    assert receiving.arrive("a", 0, begin, True) is Why.MIDDLE
    assert {receiving.arrive("a", 0, number, True) for number in order} == {Why.OVER}
    assert receiving.arrive("a", 1, 0, True) is None


def test_who_was_silent_longest_is_forgotten_with_what_had_come_early() -> None:
    sequencer: Sequencer[str, int, str] = Sequencer(max_senders=2)
    for sender in "ab":
        sequencer.arrive(sender, 0, 0, f"{sender}0")
    sequencer.arrive("a", 0, 2, "a2")
    sequencer.arrive("b", 0, 2, "b2")
    assert sequencer.arrive("c", 0, 0, "c0") == Arrival(due=("c0",), turned_away=("a2",))
    assert sequencer.arrive("a", 0, 1, "a1") == Arrival(why=Why.MIDDLE, turned_away=("b2",))


def test_what_is_of_an_older_generation_is_turned_away_alone() -> None:
    sequencer: Sequencer[str, tuple[int, int], str] = Sequencer(max_senders=2)
    sequencer.arrive("a", (1, 9), 0, "old")
    sequencer.arrive("a", (1, 9), 2, "old and early")
    newer = sequencer.arrive("a", (2, 0), 0, "new")
    assert newer == Arrival(due=("new",), turned_away=("old and early",))
    assert sequencer.arrive("a", (1, 10), 0, "late") == Arrival(why=Why.OLD)
    assert sequencer.arrive("a", (2, 0), 1, "newer") == Arrival(due=("newer",))
