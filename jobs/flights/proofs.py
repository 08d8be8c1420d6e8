"""Proofs by SQL: what stream programs have made of the replay, against what plain SQL makes of it.

Each computes from the flights and the weather alone what a program has to have come to, and counts
the rows in which the two differ. The SQL stands in sql/: of each proof as CTEs, of which `expected`
and `found` are compared.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from store.postgres.event_store import PostgresEventStore
from streams.pipeline import EventPipeline

#: What the results of a pipeline are called; sql/ has a file for each, by the pipeline's name.
_OF_PIPELINES = {
    "carrier-delays": "delays of carriers by the hour",
    "airport-delays": "rolling delays of airports",
    "aircraft-days": "days of aircraft",
}


def sql(name: str) -> str:
    """The text of one of the files."""
    return (files("jobs.flights") / "sql" / f"{name}.sql").read_text()


class Verdict(NamedTuple):
    """What a proof has come to."""

    says: str
    expected: int  #: rows
    found: int
    differ: int  #: rows that are in the one and not in the other

    @property
    def holds(self) -> bool:
        """Are they the same?"""
        return self.differ == 0


class Proof(NamedTuple):
    """One query, and what it speaks of."""

    says: str
    query: str
    arguments: tuple[Any, ...] = ()

    async def verdict(self, store: PostgresEventStore) -> Verdict:
        """Ask the log."""
        [row] = await store.fetch(self.query, *self.arguments)
        return Verdict(self.says, row["expected"], row["found"], row["differ"])


def proof_of_windows(pipeline: EventPipeline) -> Proof:
    """Of what a pipeline has put out. It holds whenever it is asked for: only windows count that
    event time has passed."""
    disorder = f"interval '{pipeline.disorder_us} us'"
    name = pipeline.name.replace("-", "_")
    query = _query("last_revisions", name, program=pipeline.name, disorder=disorder)
    return Proof(_OF_PIPELINES[pipeline.name], query)


def proof_of_congestion(through: int) -> Proof:
    """Of what airports have said because of the events up to a position, which they have heard."""
    query = _query("congestion", through=through)
    return Proof("airports that are congested, or cleared, and why", query)


def proof_of_routes() -> Proof:
    """Of the projection's table, up to where that is."""
    return Proof("the table of routes", _query("routes"))


def proof_of_missing_aircraft(found: Sequence[str], through: int) -> Proof:
    """Of the sources of aircraft that were found by their state as of a position."""
    query = _query("missing_aircraft", through=through)
    return Proof("aircraft found by their state", query, ([*found],))


def _query(*names: str, **parts: object) -> str:
    expressions = ", ".join(sql(name) for name in names)
    return f"WITH {expressions.format(**parts)} {sql('differences')}"
