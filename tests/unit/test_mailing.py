"""Whose turn it is, and how far the log is worked off, message by message."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, SystemEvent
from actors.ids import uuid_of
from actors.moments import EPOCH
from runtime.processing.mailing import Mailing, Message


class Said(SystemEvent):
    pass


class Batch:
    """Of so many commands."""

    def __init__(self, most: int) -> None:
        self.most, self.commands = most, list[bytes]()

    @property
    def full(self) -> bool:
        return len(self.commands) >= self.most

    def add(self, packed: bytes) -> int:
        self.commands.append(packed)
        return len(self.commands) - 1


def message(position: int, receiver: str) -> Message:
    event = Event.of(
        Said(), source="s/1", id=uuid_of(position.to_bytes(16, "big")), timestamp=EPOCH
    )
    placed: Event = msgspec.structs.replace(event, position=position)
    return Message(placed, receiver, b"command %d" % position)


def positions(messages: list[Message]) -> list[int | None]:
    return [one.event.position for one in messages]


def test_of_one_receiver_the_next_is_sent_when_the_last_is_answered() -> None:
    mailing: Mailing[str] = Mailing(0)
    for position, receiver in enumerate("aab", 1):
        mailing.add(message(position, receiver), "way")
    first = mailing.take("way", Batch(1))
    assert positions(first) == [1]
    assert positions(mailing.take("way", Batch(10))) == [3]
    assert mailing.take("way", Batch(10)) == []
    mailing.answered(["a"])
    assert positions(mailing.take("way", Batch(10))) == [2]


def test_a_receiver_is_ready_on_one_way_alone() -> None:
    """Its actor may have moved while it had something unsent."""
    mailing: Mailing[str] = Mailing(0)
    mailing.add(message(1, "a"), "old")
    mailing.add(message(2, "a"), "new")
    assert mailing.ways() == ["old"]
    assert positions(mailing.take("old", Batch(10))) == [1, 2]
    mailing.answered(["a"])
    mailing.add(message(3, "a"), "new")
    assert mailing.ways() == ["new"]


def test_what_is_put_back_comes_first_again() -> None:
    mailing: Mailing[str] = Mailing(0)
    for position, receiver in enumerate("aba", 1):
        mailing.add(message(position, receiver), "way")
    taken = mailing.take("way", Batch(10))
    assert positions(taken) == [1, 3, 2]
    mailing.put_back(taken)
    mailing.add(message(4, "a"), "way")
    assert mailing.take("way", Batch(10)) == []
    mailing.answered(["a", "b"])
    assert positions(mailing.take("way", Batch(10))) == [1, 3, 4, 2]


def test_what_is_finished_behind_what_waits_is_told_later() -> None:
    mailing: Mailing[str] = Mailing(7)
    first, second = message(8, "a"), message(9, "b")
    for one in (first, second):
        mailing.add(one, "way")
        mailing.passed(one.event.position or 0, one.event)
    mailing.passed(20)
    second.finished = True
    assert mailing.finish() == ([], 7)
    first.finished = True
    assert mailing.finish() == ([first.event, second.event], 20)
    assert mailing.finish() == ([], 20)
    assert (mailing.unfinished, mailing.size) == (0, 0)


def test_there_is_room_until_there_are_so_many_or_so_much() -> None:
    mailing: Mailing[str] = Mailing(0)
    assert mailing.has_room
    mailing.add(message(1, "a"), "way")
    mailing.MESSAGES = 1
    assert not mailing.has_room
    mailing.MESSAGES, mailing.BYTES = 10, 1
    assert not mailing.has_room


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=60),
)
def test_each_receiver_is_sent_its_messages_in_order_whatever_is_sent_again(
    receivers: list[str], rounds: list[tuple[int, bool]]
) -> None:
    mailing: Mailing[str] = Mailing(0)
    for position, receiver in enumerate(receivers, 1):
        mailing.add(one := message(position, receiver), "way")
        mailing.passed(position, one.event)
    done: dict[str, list[int | None]] = {receiver: [] for receiver in receivers}
    told = 0
    for most, fails in [*rounds, *[(1, False)] * len(receivers)]:
        taken = mailing.take("way", Batch(most))
        if fails:
            mailing.put_back(taken)
        else:
            for one in taken:
                one.finished = True
                done[one.receiver].append(one.event.position)
        mailing.answered({one.receiver for one in taken})
        told += len(mailing.finish()[0])
    for receiver, theirs in done.items():
        wanted = [place for place, whose in enumerate(receivers, 1) if whose == receiver]
        assert theirs == wanted
    assert (told, mailing.position, mailing.unfinished) == (len(receivers), len(receivers), 0)
    assert not mailing._busy
    assert not mailing._way


def test_an_event_is_finished_with_the_last_of_its_messages() -> None:
    mailing: Mailing[str] = Mailing(0)
    first, second = message(1, "a"), message(1, "b")
    mailing.add(first, "way")
    mailing.add(second, "way")
    mailing.passed(1, first.event)
    first.finished = True
    assert mailing.finish() == ([], 0)
    second.finished = True
    assert mailing.finish() == ([first.event], 1)


def test_what_is_withdrawn_is_not_sent_and_what_is_under_way_is_answered() -> None:
    mailing = Mailing[str](0)
    for position, receiver in ((1, "a"), (2, "a"), (3, "b"), (4, "c")):
        mailing.queue(message(position, receiver), "other" if receiver == "c" else "way")
    taken = mailing.take("way", Batch(1))
    assert positions(taken) == [1]
    assert positions(mailing.withdraw("way")) == [2, 3]
    assert mailing.ways() == ["other"]
    mailing.answered(["a"])
    assert mailing.ways() == ["other"]
    mailing.queue(message(5, "a"), "way")
    assert positions(mailing.take("way", Batch(9))) == [5]
