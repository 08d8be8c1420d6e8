"""Every measure, in the order of the table."""

from benchmarks.figures import Measure
from benchmarks.measures import asks, commands, rehydration, replay, residents, rivals

ALL: tuple[Measure, ...] = (
    commands.MEASURE,
    replay.MEASURE,
    asks.MEASURE,
    residents.MEASURE,
    rehydration.MEASURE,
    *rivals.MEASURES,
)
