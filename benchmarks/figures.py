"""What is measured: the figures by name, their targets, and what the runs came to."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from benchmarks.sizes import Sizes

if TYPE_CHECKING:
    from benchmarks.bed import Bed


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
    once: bool = False  #: it takes minutes, and says what it says in the first round

    def wanted(self, keys: frozenset[str]) -> frozenset[str]:
        """Those of its figures that are among `keys`."""
        return keys & {figure.key for figure in self.figures}


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
