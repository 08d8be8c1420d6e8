"""Asking a fleet by its state, in a system of one process."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.actor import Actor, Command, applies, described, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent
from runtime.driver.ref import ActorRef
from runtime.errors import IndexBehind, InvalidQuery
from runtime.system import ActorSystem
from streams.scenario import happened
from tests.projections import Mood

LIMIT_S = 30.0


class Feel(Command):
    """Be in this mood, at this place."""

    mood: Mood
    site: str | None = None


class Felt(DeviceEvent):
    """It is."""

    mood: Mood
    site: str | None = None


@dataclass
class DogState:
    """Of a dog."""

    mood: Mood = Mood.GOOD
    site: str | None = None
    changes: int = 0
    seen: dict[str, int] = field(default_factory=dict)


class Dog(Actor[DogState]):
    """Has moods."""

    indexes = ("mood", "site", "changes")

    @handles
    def feel(self, command: Feel) -> Iterator[Felt]:
        """As it is told."""
        yield Felt(mood=command.mood, site=command.site)

    @applies
    def felt(self, event: Felt) -> None:
        """It is in this mood."""
        self.state.mood, self.state.site = event.mood, event.site
        self.state.changes += 1
        self.state.seen[event.mood] = self.state.changes


def feel(system: ActorSystem, name: str, mood: Mood, site: str | None = None) -> int:
    """Where that stands in the log."""
    [event] = system.actor(Dog, name).ask(Feel(mood=mood, site=site)).result(LIMIT_S)
    return event.position or 0


def names(found: Any) -> list[str]:
    return [ref.source.partition("/")[2] for ref in found]


def test_who_writes_finds_what_he_has_written_though_nobody_has_begun_an_index(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    feel(system, "rex", Mood.BAD)
    feel(system, "ada", Mood.BAD, "north")
    position = feel(system, "bo", Mood.GOOD)
    found = system.find(Dog, mood=Mood.BAD).result(LIMIT_S)
    assert names(found) == ["ada", "rex"]
    assert found.position >= position
    assert found.next is None
    assert isinstance(found.refs[0], ActorRef)
    for number in range(20):
        feel(system, "bo", Mood.BAD if number % 2 else Mood.GOOD, f"site-{number}")
        assert ("bo" in names(system.find(Dog, mood="bad").result(LIMIT_S))) is bool(number % 2)


def test_what_others_write_keeps_nobody_waiting(memory_system: ActorSystem) -> None:
    system = memory_system
    feel(system, "rex", Mood.BAD)
    assert names(system.find(Dog, mood="bad").result(LIMIT_S)) == ["rex"]
    for number in range(3):
        event = happened(Felt(mood=Mood.BAD), source=f"wolf/{number}", at=0)
        [published] = system.publish(event).result(LIMIT_S)
        found = system.find(Dog, mood="bad", timeout_s=2.0).result(LIMIT_S)
        assert names(found) == ["rex"]
        assert found.position == published.position


def test_every_operator_and_pages(memory_system: ActorSystem) -> None:
    system = memory_system
    for number in range(5):
        for _ in range(number + 1):
            feel(system, f"d{number}", Mood.GOOD, None if number == 4 else f"s{number}")
    asked: list[tuple[dict[str, Any], str]] = [
        ({"changes": 3}, "2"),
        ({"changes__ne": 3}, "0134"),
        ({"changes__gt": 3}, "34"),
        ({"changes__ge": 3}, "234"),
        ({"changes__lt": 2}, "0"),
        ({"changes__le": 2}, "01"),
        ({"site__in": ["s1", "s3", "?"]}, "13"),
        ({"site__isnull": True}, "4"),
        ({"site__isnull": False, "changes__gt": 1}, "123"),
        ({"site__ge": "s1", "mood__eq": "good"}, "123"),
        ({"site": "'; DROP TABLE events; --"}, ""),
        ({}, "01234"),
    ]
    for where, expected in asked:
        found = system.find(Dog, **where).result(LIMIT_S)
        assert "".join(name[1:] for name in names(found)) == expected, where
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = system.find(Dog, limit=2, after=after, changes__gt=1).result(LIMIT_S)
        seen += names(page)
        after = page.next
    assert seen == ["d1", "d2", "d3", "d4"]


def test_a_bulk_change_by_query(memory_system: ActorSystem) -> None:
    system = memory_system
    for number in range(4):
        feel(system, f"d{number}", Mood.BAD if number % 2 else Mood.GOOD)
    sad = system.find(Dog, mood=Mood.BAD).result(LIMIT_S)
    told = system.tell_many((ref, Feel(mood=Mood.GOOD)) for ref in sad)
    assert (told.commands, told.failed) == (2, 0)
    assert len(system.find(Dog, mood=Mood.BAD).result(LIMIT_S)) == 0
    assert len(system.find("dog", mood="good").result(LIMIT_S)) == 4


def test_what_cannot_be_asked_is_said(memory_system: ActorSystem) -> None:
    system = memory_system
    with pytest.raises(InvalidQuery, match="'size' is no indexed field; indexed are mood, site"):
        system.find(Dog, size=3)
    with pytest.raises(InvalidQuery, match="may stand behind __ is eq, ne, gt"):
        system.find(Dog, changes__like="x")
    with pytest.raises(InvalidQuery, match="changes is a bigint, not 'many': no int"):
        system.find(Dog, changes="many")
    with pytest.raises(InvalidQuery, match="weight is a double precision, not 10"):
        system.find(Whale, weight__gt=10**400)
    with pytest.raises(InvalidQuery, match="mood is one of 'good', 'bad', and never 'sad'"):
        system.find(Dog, mood="sad")
    with pytest.raises(InvalidQuery, match=r"mood is one of .*, and never 'sad'"):
        system.find(Dog, mood__in=["bad", "sad"])
    with pytest.raises(InvalidQuery, match="site__isnull=True"):
        system.find(Dog, site=None)
    with pytest.raises(InvalidQuery, match="in takes several values"):
        system.find(Dog, site__in="s1")
    with pytest.raises(InvalidQuery, match="isnull is True or False"):
        system.find(Dog, site__isnull=1)
    with pytest.raises(InvalidQuery, match="'_state' is no indexed field"):
        system.find(Dog, _state="x")
    with pytest.raises(ValueError, match="limit= is a number from 1 to 10,000"):
        system.find(Dog, limit=0)
    with pytest.raises(InvalidQuery, match=r"Cat says of no field that it is indexed"):
        system.find(Cat, mood="bad")
    with pytest.raises(InvalidQuery, match="it has no index"):
        system.find("cat", at_least=0).result(LIMIT_S)
    with pytest.raises(IndexBehind, match=r"and 1,000,000 was asked for, 0\.1 s ago"):
        system.find(Dog, at_least=1_000_000, timeout_s=0.1).result(LIMIT_S)


@dataclass
class WhaleState:
    """Of a whale."""

    weight: float = 0.0


class Whale(Actor[WhaleState]):
    """Is heavy."""

    indexes = ("weight",)


class Cat(Actor[DogState]):
    """Is not asked."""


class Unknown(Actor[DogState]):
    indexes = ("breed",)


class Complex(Actor[DogState]):
    indexes = ("seen",)


class Twice(Actor[DogState]):
    indexes = ("mood", "mood")


class Number(Actor[DogState]):
    indexes = 3  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("actor", "problem"),
    [
        (Unknown, "indexes names 'breed', and its state has mood, site, changes, seen"),
        (Complex, r"indexes names 'seen', which is a dict\[str, int\]: what is asked for is"),
        (Twice, "names a field twice"),
        (Number, "is a tuple of names of fields"),
    ],
    ids=["unknown", "complex", "twice", "number"],
)
def test_indexes_are_checked_with_the_class(actor: type[Actor[Any]], problem: str) -> None:
    with pytest.raises(InvalidActor, match=problem):
        described(actor)


class Hound(Dog):
    """The same type, whose class is another one."""

    actor_type = "dog"
    indexes = ("site", "changes", "mood")
    snapshot_format = 2


def test_an_index_of_other_fields_is_built_anew(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    feel(system, "rex", Mood.BAD, "north")
    assert names(system.find(Dog, changes=1).result(LIMIT_S)) == ["rex"]
    system.index(Hound).result(LIMIT_S)
    assert names(system.find(Hound, site="north").result(LIMIT_S)) == ["rex"]


@dataclass
class RetrieverState(DogState):
    """Has kept something else of what it has seen."""

    seen: list[str] = field(default_factory=list)  # type: ignore[assignment]


class Retriever(Actor[RetrieverState]):
    """Cannot read the states of before."""

    actor_type = "dog"
    indexes = ("mood", "site", "changes")

    @handles
    def feel(self, command: Feel) -> Iterator[Felt]:
        """As it is told."""
        yield Felt(mood=command.mood, site=command.site)

    @applies
    def felt(self, event: Felt) -> None:
        """It is in this mood."""
        self.state.mood, self.state.site = event.mood, event.site
        self.state.changes += 1
        self.state.seen.append(event.mood)


def test_a_state_that_is_not_to_be_read_back_is_folded_of_the_log(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    feel(system, "rex", Mood.BAD)
    feel(system, "rex", Mood.GOOD)
    system.index(Dog).result(LIMIT_S)
    assert names(system.find(Dog, changes=2).result(LIMIT_S)) == ["rex"]
    system.stop("index-of-dog").result(LIMIT_S)
    system.index(Retriever).result(LIMIT_S)
    feel(system, "rex", Mood.GOOD)
    assert names(system.find(Retriever, changes=3, at_least=3).result(LIMIT_S)) == ["rex"]
