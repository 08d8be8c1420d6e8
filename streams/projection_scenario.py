"""A test kit for projections: given these events, then these rows.

    ProjectionScenario(Carriers) \\
        .given(happened(FlightDeparted(...), source="aircraft/N1", at=noon)) \\
        .then({"UA": Carrier(flights=1, worst_delay_min=12.0)})

As strict as what runs projections: each row becomes what its columns hold and is read back, and a
projection that changes the row it was given is refused.
"""

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from actors.columns import UnfitValue
from actors.errors import InvalidName
from actors.event import Event
from actors.naming import checked_new_source
from actors.patterns import matcher
from streams.errors import InvalidProgram
from streams.projection import Projection, described_projection


class ProjectionScenario:
    """One projection taken through events. Steps chain, in any order.

    Raises InvalidProgram for a projection that is not well formed, for a row that its table cannot
    hold, and for a projection that changes the row it was given.
    """

    def __init__(self, projection: type[Projection[Any]] | Projection[Any]) -> None:
        self.projection = described_projection(projection)
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._versions: dict[str, int] = {}
        self._positions = 0
        self._wants_type = matcher(self.projection.event_types)
        self._wants_source = matcher(self.projection.sources)

    @property
    def rows(self) -> dict[str, Any]:
        """All rows by key, as they come out of the table."""
        return {key: self.projection.row_of(key, values) for key, values in self._rows.items()}

    def given(self, *events: Event) -> Self:
        """These events come, in this order, with positions and versions as a log gives them."""
        for event in events:
            self._positions += 1
            version = self._versions[event.source] = self._versions.get(event.source, 0) + 1
            stored: Event = msgspec.structs.replace(
                event, position=self._positions, version=version
            )
            if self._wants(event):
                self._project(stored)
        return self

    def then(self, expected: Mapping[str, Any]) -> Self:
        """The table has exactly these rows now."""
        if self.rows != dict(expected):
            raise AssertionError(f"expected {dict(expected)}\n but got {self.rows}")
        return self

    def _wants(self, event: Event) -> bool:
        kinds = self.projection.kinds
        return (
            self._wants_type(event.event_type)
            and self._wants_source(event.source)
            and (not kinds or event.kind in kinds)
        )

    def _project(self, event: Event) -> None:
        for key, _ in self.projection.route(event):
            self._check_key(key)
            before = None
            if (values := self._rows.get(key)) is not None:
                before = self.projection.form.row(values)
            row = self.projection.project(event, before)
            if before is not None and self._values(key, before) != values:
                problem = f"changes the row of {key!r} that it was given: make a new one"
                raise InvalidProgram(self.projection.name, problem)
            if row is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = self._values(key, row)

    def _check_key(self, key: Any) -> None:
        try:
            if type(key) is not str or not key:
                raise InvalidName(f"{key!r:.80}", "a key is a text, and not empty")
            checked_new_source(f"{self.projection.name}/{key}")
        except InvalidName as error:
            raise InvalidProgram(self.projection.name, f"its key cannot be one: {error}") from error

    def _values(self, key: str, row: Any) -> tuple[Any, ...]:
        try:
            return self.projection.form.values(row)
        except UnfitValue as error:
            problem = f"its table cannot hold the row of {key!r}: {error}"
            raise InvalidProgram(self.projection.name, problem) from error
