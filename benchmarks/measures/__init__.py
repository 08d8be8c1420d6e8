"""Every measure, in the order of the table."""

from benchmarks.figures import Measure
from benchmarks.measures import (
    akka,
    asks,
    clock_comparison,
    commands,
    fanout,
    first_contact,
    first_touch,
    http,
    live,
    messages,
    node_kill,
    programs,
    published,
    rehydration,
    replay,
    residents,
    rivals,
    timers,
)

ALL: tuple[Measure, ...] = (
    commands.MEASURE,
    first_touch.MEASURE,
    first_contact.MEASURE,
    replay.MEASURE,
    asks.MEASURE,
    published.MEASURE,
    *live.MEASURES,
    *fanout.MEASURES,
    programs.MEASURE,
    messages.MEASURE,
    *timers.MEASURES,
    http.MEASURE,
    akka.MEASURE,
    *residents.MEASURES,
    rehydration.MEASURE,
    node_kill.MEASURE,
    clock_comparison.MEASURE,
    *rivals.MEASURES,
)
