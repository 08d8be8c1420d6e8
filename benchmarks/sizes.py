"""How much goes into each measure, and what a measure requires of its own run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much goes into each measure; the table names what went in.

    More than fifteen fields: one a measure, and each is read by that measure alone.
    """

    actors: int = 1_000  #: that bulk commands, asks and rehydration are spread over
    commands: int = 200_000  #: of the durable runs, in bulk
    chunk: int = 5_000  #: rows in one COPY, as many as a commit of the writer may have
    days: int = 365  #: of 2013
    asks: int = 10_000  #: at once
    bursts: int = 4  #: of that many asks, one after the other
    single_asks: int = 1_000  #: one after the other
    new_actors: int = 100_000  #: that get their first command
    residents: int = 100_000  #: actors whose memory is weighed
    million: int = 1_000_000  #: actors resident at once
    killed: int = 10_000  #: actors, of which a third is on the node that is killed
    stored: int = 100_000  #: events in the log that are folded
    live_commands: int = 100_000  #: to be routed to live subscriptions: one, and these:
    some_live: int = 50  #: beside as many as these that hear nothing:
    quiet_live: int = 1_000
    many_live: int = 100
    most_live: int = 1_000
    behind: int = 1_000_000  #: events that pass a subscriber that never asks for them
    published: int = 50_000  #: events from outside, in bulk
    single_published: int = 1_000  #: events from outside, one at a time
    fanned_out: int = 100_000  #: events, to each of four subscribers
    processed: int = 200_000  #: events in the log that stream programs work through
    pairs: int = 1_000  #: of actors that answer one another
    rally: int = 100  #: messages of each pair
    timers: int = 100_000  #: that are set, and fire
    moving: int = 1_000  #: actors of a shard that moves
    shard_moves: int = 100  #: from host to host
    recovering: int = 10_000  #: actors that answer again after a strike
    strikes: int = 10
    http_commands: int = 20_000  #: POSTs of one command
    http_lines: int = 100_000  #: commands in one POST
    http_listeners: int = 100  #: clients that listen to all events
    http_heard: int = 5_000  #: events that each of them hears
    idle_clients: int = 1_000  #: clients that listen and hear nothing
    akka_entities: int = 60_000  #: as many as in Akka's published workload
    akka_s: float = 300.0  #: how long that runs
    comparisons: int = 200_000  #: of two clocks
    naive_devices: int = 20  #: Ray actors of the naive rival
    job: int = 5_000  #: commands in one workflow of dbos
    rival_s: float = 5.0  #: how long each rival runs at most


FULL = Sizes()
#: For trying the bench out: every path, no figure worth keeping.
QUICK = Sizes(
    commands=20_000, days=7, asks=2_000, bursts=2, single_asks=100, new_actors=5_000,
    residents=5_000, killed=600, million=20_000, stored=10_000, live_commands=10_000, some_live=5,
    quiet_live=20, many_live=10, most_live=20, behind=20_000,
    published=2_000, single_published=100, fanned_out=10_000, processed=20_000, pairs=100,
    rally=20, timers=5_000,
    moving=100, shard_moves=10, recovering=1_000, strikes=2,
    http_commands=2_000, http_lines=10_000, http_listeners=10,
    http_heard=1_000, idle_clients=50,
    akka_entities=1_000, akka_s=2.0, comparisons=20_000, naive_devices=4, job=1_000,
    rival_s=1.0,
)  # fmt: skip


class NotAsExpected(Exception):
    """A measure's own check failed: its figure would mean nothing."""


def require(held: bool, otherwise: str) -> None:
    """Raise NotAsExpected, saying what is wrong, unless it held."""
    if not held:
        raise NotAsExpected(otherwise)
