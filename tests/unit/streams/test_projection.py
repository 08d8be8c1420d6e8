"""Projections by hand: what they make of events, and what is refused."""

from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from actors.columns import Column, ColumnType, RowForm, UnfitValue, value_of_text
from actors.event import BusinessEvent, Event, Kind
from streams.errors import InvalidProgram
from streams.programs import program_of
from streams.projection import Projection, described_projection
from streams.projection_scenario import ProjectionScenario
from streams.scenario import happened
from tests.projections import Everything, Mood, Presence, Present, Tallies, Tally

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Sold(BusinessEvent):
    """An article was sold."""

    article: str
    pieces: int


class Sales(BaseModel):
    """Of an article."""

    pieces: int
    last: datetime | None = None


class Articles(Projection[Sales]):
    """Sales by article; one of which none was sold has no row."""

    event_types = "sold"

    def key(self, event: Event) -> str | None:
        return event.data["article"] or None

    def project(self, event: Event, row: Sales | None) -> Sales | None:
        pieces = event.data["pieces"] + (row.pieces if row else 0)
        return Sales(pieces=pieces, last=event.timestamp) if pieces else None


def sold(article: str, pieces: int) -> Event:
    return happened(Sold(article=article, pieces=pieces), source="till/1", at=NOON)


def test_rows_are_what_the_events_of_their_keys_come_to() -> None:
    scenario = ProjectionScenario(Articles)
    scenario.given(sold("nut", 2), sold("bolt", 1), sold("nut", 3), sold("", 9))
    scenario.then({"nut": Sales(pieces=5, last=NOON), "bolt": Sales(pieces=1, last=NOON)})
    scenario.given(sold("bolt", -1)).then({"nut": Sales(pieces=5, last=NOON)})
    with pytest.raises(AssertionError, match="but got"):
        scenario.then({})


def test_what_is_not_selected_does_not_come_to_it() -> None:
    tick = happened(Sold(article="a", pieces=1), source="shelf/1", at=NOON)
    ProjectionScenario(Tallies).given(tick).then({})
    here = happened(Sold(article="a", pieces=1), source="counter/1", at=NOON)
    scenario = ProjectionScenario(Presence).given(tick, here)
    scenario.then({"counter/1": Present(since=2)})
    scenario.given(here).then({})


class OfDevices(Articles):
    kinds = Kind.DEVICE  # type: ignore[assignment]


def test_what_is_of_another_kind_does_not_come_to_it() -> None:
    ProjectionScenario(OfDevices).given(sold("nut", 2)).then({})


def test_columns_are_what_annotations_say() -> None:
    form = RowForm(Everything)
    assert [str(column) for column in form.columns] == [
        "flag boolean NOT NULL", "number bigint NOT NULL", "ratio double precision NOT NULL",
        "text text NOT NULL", "moment timestamptz NOT NULL", "day date NOT NULL",
        "id uuid NOT NULL", "money numeric NOT NULL", "mood text NOT NULL",
        "parts jsonb NOT NULL", "maybe bigint", "nothing jsonb",
    ]  # fmt: skip
    assert RowForm(Sales).columns == (
        Column("pieces", ColumnType.INT),
        Column("last", ColumnType.MOMENT, nullable=True),
    )


EVERYTHING = Everything(
    flag=True, number=-(2**63), ratio=0.1, text="ü", moment=NOON, day=date(2026, 1, 1),
    id=UUID(int=7), money=Decimal("1.10"), mood=Mood.BAD, parts=[{"a": [1, None]}], maybe=None,
)  # fmt: skip


def test_a_row_comes_back_as_it_was() -> None:
    form = RowForm(Everything)
    values = form.values(EVERYTHING)
    assert values[8] == "bad"
    assert type(values[8]) is str
    assert form.row(values) == EVERYTHING
    assert form.row(values).mood is Mood.BAD


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("number", 2**63, "beyond 64 bits"),
        ("number", True, "no int"),
        ("flag", 1, "no bool"),
        ("ratio", "1", "no float"),
        ("text", "a\0b", "NUL"),
        ("text", "\ud800", "surrogates not allowed"),
        ("moment", datetime(2026, 1, 1), "no time zone"),  # noqa: DTZ001 - that it has none
        ("day", NOON, "no date"),
        ("money", Decimal("NaN"), "no number"),
        ("moment", datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=5))), "range"),
        ("money", Decimal("1E+200000"), "more than 131,072 digits before the point"),
        ("money", Decimal("1E-20000"), "or 16,383 behind it"),
        ("mood", "sad", "is not a valid Mood"),
        ("number", None, "does not say that it may be"),
    ],
    ids=["big", "bool", "flag", "text-ratio", "nul", "surrogate", "naive", "day", "nan",
         "late", "high", "low", "mood", "none"],
)  # fmt: skip
def test_what_a_column_cannot_hold_is_refused(name: str, value: Any, problem: str) -> None:
    row = Everything(**{**vars(EVERYTHING), name: value})
    with pytest.raises(UnfitValue, match=f"{name} is .*{problem}"):
        RowForm(Everything).values(row)


def test_what_no_index_holds_is_refused_where_there_is_one() -> None:
    row = Everything(**{**vars(EVERYTHING), "text": "ü" * 1_301})
    RowForm(Everything).values(row)
    RowForm(Everything, ["money"]).values(row)
    with pytest.raises(UnfitValue, match=r"text is 'ü.*it has 2,602 bytes, and an index takes"):
        RowForm(Everything, ["text"]).values(row)
    row = Everything(**{**vars(EVERYTHING), "money": Decimal("1E+9000")})
    RowForm(Everything).values(row)
    with pytest.raises(UnfitValue, match="more digits than an index takes"):
        RowForm(Everything, ["money"]).values(row)


@dataclass
class Derived:
    """Not made of all its fields."""

    number: int
    twice: int = field(init=False, default=0)


class Renamed(BaseModel):
    """Made of another name."""

    number: int = Field(alias="n")


class ByName(BaseModel):
    """Made of either name."""

    model_config = ConfigDict(populate_by_name=True)
    number: int = Field(alias="n")


def test_a_row_class_is_made_of_its_fields_by_their_names() -> None:
    with pytest.raises(ValueError, match=r"made of its fields .*argument 'twice'"):
        RowForm(Derived)
    with pytest.raises(ValueError, match="takes number by another name only: n"):
        RowForm(Renamed)
    assert RowForm(ByName).row((1,)) == ByName(number=1)


@pytest.mark.parametrize("name", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"])
def test_columns_that_every_table_has_are_no_names_for_fields(name: str) -> None:
    row = make_dataclass("Odd", [(name, int)])

    class Odds(Articles):
        """Its rows have such a field."""

    Odds.row_class = row
    with pytest.raises(InvalidProgram, match=f"{name} cannot be the name of a column"):
        described_projection(Odds)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ColumnType.BOOL, "true", True),
        (ColumnType.INT, "-7", -7),
        (ColumnType.FLOAT, "7.5", 7.5),
        (ColumnType.TEXT, "true", "true"),
        (ColumnType.MOMENT, "2026-06-01T12:00:00Z", NOON),
        (ColumnType.DAY, "2026-06-01", date(2026, 6, 1)),
        (ColumnType.UUID, str(UUID(int=7)), UUID(int=7)),
        (ColumnType.DECIMAL, "1.10", Decimal("1.10")),
    ],
    ids=lambda each: each.name if isinstance(each, ColumnType) else "",
)
def test_a_value_as_it_stands_in_a_url(kind: ColumnType, text: str, value: Any) -> None:
    column = Column("field", kind)
    assert value_of_text(column, text) == value
    if kind is not ColumnType.TEXT:
        with pytest.raises(UnfitValue, match=f"field is a {kind}, not 'what'"):
            value_of_text(column, "what")


def test_moments_are_the_same_whatever_their_zone() -> None:
    moved = NOON.astimezone(timezone(timedelta(hours=2)))
    (value,) = RowForm(Sales).values(Sales(pieces=1, last=moved))[1:]
    assert value == NOON


@dataclass
class Mutable:
    """Its projection changes it."""

    seen: list[int] = field(default_factory=list)


class Careless(Projection[Mutable]):
    event_types = ("sold",)

    def project(self, event: Event, row: Mutable | None) -> Mutable:
        row = row or Mutable()
        row.seen.append(event.position or 0)
        return row


def test_who_changes_the_row_that_it_was_given_is_refused() -> None:
    scenario = ProjectionScenario(Careless).given(sold("a", 1))
    with pytest.raises(InvalidProgram, match="changes the row of 'till/1' that it was given"):
        scenario.given(sold("a", 1))


class Rowless(Projection):  # type: ignore[type-arg]
    event_types = ("sold",)

    def project(self, event: Event, row: Any) -> Any: ...


class NoClass(Projection[int]):
    event_types = ("sold",)

    def project(self, event: Event, row: Any) -> Any: ...


class Lazy(Projection[Sales]):
    event_types = ("sold",)


class Deaf(Projection[Sales]):
    def project(self, event: Event, row: Sales | None) -> Sales | None: ...


class Misindexed(Articles):
    indexes = ("price",)


class Awaiting(Projection[Sales]):
    event_types = ("sold",)

    async def project(self, event: Event, row: Sales | None) -> Sales | None: ...  # type: ignore[override]


class Misfit(Projection[Sales]):
    event_types = ("sold",)

    def project(self, event: Event) -> Sales | None: ...  # type: ignore[override]


@dataclass
class Keyed:
    key: str


class KeyedRows(Projection[Keyed]):
    event_types = ("sold",)

    def project(self, event: Event, row: Keyed | None) -> Keyed | None: ...


class Rebuilt(Articles):
    name = "articles.rebuild"


class Long(Articles):
    name = "a" * 49


@pytest.mark.parametrize(
    ("projection", "problem"),
    [
        (Rowless, "say the class of its rows"),
        (NoClass, "is a dataclass or a pydantic model, not int"),
        (Lazy, "does nothing: define project"),
        (Deaf, "says of no event that it wants it"),
        (Misindexed, "indexes names 'price', and its rows have pieces, last"),
        (Awaiting, "it is a plain function that returns"),
        (Misfit, "project takes 2 arguments: def project"),
        (KeyedRows, "key is the column of the key"),
        (Rebuilt, "are those of projections that are built anew"),
        (Long, "at most 48 letters"),
    ],
    ids=["rowless", "no-class", "lazy", "deaf", "misindexed", "awaiting", "misfit", "keyed",
         "rebuilt", "long"],
)  # fmt: skip
def test_what_is_no_projection_is_refused(projection: Any, problem: str) -> None:
    with pytest.raises(InvalidProgram, match=problem):
        program_of(projection)


def test_a_row_of_another_class_and_a_bad_key_are_refused() -> None:
    class Wrong(Articles):
        def project(self, event: Event, row: Sales | None) -> Any:
            return {"pieces": 1}

    class Keyless(Articles):
        def key(self, event: Event) -> str | None:
            return "a\nb"

    with pytest.raises(InvalidProgram, match="a row is a Sales, not"):
        ProjectionScenario(Wrong).given(sold("a", 1))
    with pytest.raises(InvalidProgram, match="its key cannot be one"):
        ProjectionScenario(Keyless).given(sold("a", 1))


def test_its_row_is_known_to_readers() -> None:
    assert Tallies().table.indexes == ("events",)
    assert Tallies.row_class is Tally
