"""Messages between actors: pairs that answer one another, all at once.

Each message is an event of its sender, committed before it is delivered, and what it comes to at
its receiver is the next message. What is timed is from the first that was committed to the last, by
the log.
"""

import time

import psycopg

from benchmarks.bed import Bed, one_value
from benchmarks.devices import Hit, Player
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import LIMIT_S
from benchmarks.sizes import require

MESSAGES = "actor_messages_per_s"

_TOOK = (
    "SELECT count(*), extract(epoch FROM max(recorded_at) - min(recorded_at))"
    " FROM events WHERE event_type = 'message-sent'"
)


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figure below."""
    pairs, rally = bed.sizes.pairs, bed.sizes.rally
    # All of them stay in memory: what is measured is messages.
    with bed.database() as url, bed.system(url, max_actors=4 * pairs) as system:
        refs = [system.actor(Player, f"{number:04}") for number in range(2 * pairs)]
        serves = (
            (ref, Hit(other=other.name, left=rally))
            for ref, other in zip(refs[::2], refs[1::2], strict=True)
        )
        told = system.tell_many(serves)
        require(told.failed == 0, f"{told}")
        until_s = time.monotonic() + LIMIT_S
        over = "SELECT count(*) FROM events WHERE event_type = 'rally-over'"
        while one_value(url, over) < pairs:
            require(time.monotonic() < until_s, f"not over within {LIMIT_S:g} s")
            time.sleep(0.1)
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute(_TOOK).fetchone()
    assert row is not None
    count, took_s = row
    require(count == pairs * rally, f"{count:,} messages, not {pairs * rally:,}")
    return {MESSAGES: count / float(took_s)}


MEASURE = Measure(
    run,
    (
        Figure(
            key=MESSAGES,
            input="{pairs:,} pairs of actors that answer one another, {rally:,} messages each",
            target=at_least(20_000),
        ),
    ),
)
