"""What is measured: the figures by name, how much goes in, and what the runs came to."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.bed import Bed


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much goes into each measure; the table names what went in."""

    actors: int = 1_000  #: that bulk commands, asks and rehydration are spread over
    commands: int = 200_000
    chunk: int = 5_000  #: rows in one COPY, as many as a commit of the writer may have
    days: int = 365  #: of 2013
    asks: int = 10_000  #: at once
    bursts: int = 4  #: of that many asks, one after the other
    single_asks: int = 1_000
    residents: int = 100_000
    stored: int = 100_000  #: events in the log that are folded
    naive_devices: int = 20
    rival_s: float = 5.0  #: how long each rival runs at most


FULL = Sizes()
#: For trying the bench out: every path, no figure worth keeping.
QUICK = Sizes(
    commands=20_000, days=7, asks=2_000, bursts=2, single_asks=100, residents=5_000,
    stored=10_000, naive_devices=4, rival_s=1.0,
)  # fmt: skip

#: The least or most a figure should be; some follow from what was measured beside it.
Target = Callable[[Mapping[str, float]], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table."""

    key: str
    input: str  #: what went in, with the names of Sizes in braces
    target: Target | None = None
    at_most: bool = False  #: less is better

    def says(self, sizes: Sizes) -> str:
        """What went in, in numbers."""
        return self.input.format(**asdict(sizes))

    def met(self, value: float, target: float) -> bool:
        """Is the value as good as the target?"""
        return value <= target if self.at_most else value >= target


#: Measures the wanted figures once, and raises if what should have happened did not.
Run = Callable[["Bed", frozenset[str]], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Measure:
    """Figures that come from one database and one system."""

    run: Run
    figures: tuple[Figure, ...]

    def wanted(self, keys: frozenset[str]) -> frozenset[str]:
        """Those of its figures that are among `keys`."""
        return keys & {figure.key for figure in self.figures}


class NotAsExpected(Exception):
    """A measure's own check failed: its figure would mean nothing."""


def require(held: bool, otherwise: str) -> None:
    """Raise NotAsExpected, saying what is wrong, unless it held."""
    if not held:
        raise NotAsExpected(otherwise)


@dataclass(slots=True)
class Results:
    """The values of every run, by figure, and what went wrong."""

    values: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, measured: Mapping[str, float]) -> None:
        """Count one run in."""
        for key, value in measured.items():
            self.values.setdefault(key, []).append(value)

    def medians(self) -> dict[str, float]:
        """The median of every figure that was measured and never failed."""
        return {
            key: statistics.median(values)
            for key, values in self.values.items()
            if key not in self.failures
        }


def at_least(value: float) -> Target:
    """A target that is a number."""
    return lambda _: value


def times(factor: float, key: str, or_at_least: float = 0.0) -> Target:
    """A target that is so many times another figure; None where that was not measured."""

    def target(medians: Mapping[str, float]) -> float | None:
        if key in medians:
            return max(factor * medians[key], or_at_least)
        return or_at_least or None

    return target
