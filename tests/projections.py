"""Projections for tests."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from actors.event import Event
from streams.projection import Projection


@dataclass(frozen=True)
class Tally:
    """What is known of a counter."""

    events: int
    amount: int
    through: int
    at: datetime


class Tallies(Projection[Tally]):
    """Counts the events of each counter, and adds up what they say."""

    sources = ("counter/*",)
    indexes = ("events",)

    def project(self, event: Event, row: Tally | None) -> Tally:
        count, amount = (row.events, row.amount) if row is not None else (0, 0)
        amount += event.data["amount"]
        return Tally(count + 1, amount, event.position or 0, event.timestamp)


class Mood(StrEnum):
    """How it is."""

    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Everything:
    """A column of each type."""

    flag: bool
    number: int
    ratio: float
    text: str
    moment: datetime
    day: date
    id: UUID
    money: Decimal
    mood: Mood
    parts: list[dict[str, Any]]
    maybe: int | None
    nothing: dict[str, int] | None = None


@dataclass(frozen=True)
class Present:
    """Who is there."""

    since: int


class Presence(Projection[Present]):
    """A source is there at every odd event, and gone at every even one."""

    sources = ("counter/*", "ledger/*", "feed/*")

    def project(self, event: Event, row: Present | None) -> Present | None:
        return None if row is not None else Present(event.position or 0)
