"""The SQL of the event store: named queries out of a file, and the ones that COPY takes.

COPY takes no parameters, so what it is told stands in its text. It is written here, and not
by the driver, which would ask the server twice how to write it.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from actors.ids import event_id
from store.rows.layout import COLUMNS
from store.selection import Selection, like
from store.slots import SLOTS

_COLUMN_LIST = ", ".join(COLUMNS)


def _named(text: str) -> dict[str, str]:
    """The queries of a file, each below its line `-- name: ...`, without their comments."""
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {
        name: re.sub(r"^--.*\n", "", query, flags=re.MULTILINE).strip().rstrip(";")
        for name, query in zip(parts[::2], parts[1::2], strict=True)
    }


QUERIES = _named((files("store.postgres") / "sql" / "queries.sql").read_text())


def rows_between(after: int, through: int, selection: Selection) -> str:
    """The selected rows of the positions above `after` up to `through`."""
    selected = selected_by(selection)
    return _filled("rows_between", after=str(after), through=str(through), selected=selected)


def selected_by(selection: Selection) -> str:
    """What a Selection says, as further conditions of a query of events."""
    selected = ""
    for column, globs in (("event_type", selection.event_types), ("source", selection.sources)):
        if globs:
            patterns = ", ".join(_literal(like(glob)) for glob in globs if _can_match(glob))
            selected += f" AND {column} LIKE ANY (ARRAY[{patterns}]::text[])"
    if selection.kinds:
        selected += f" AND kind IN ({', '.join(_literal(kind.value) for kind in selection.kinds)})"
    if selection.moments_us is not None:
        first, before = (f"to_timestamp(0) + interval '{each} us'" for each in selection.moments_us)
        selected += f" AND timestamp >= {first} AND timestamp < {before}"
    return selected


def of_slot(slot: int | None) -> str:
    """That an event is of that slot (store/slots.py), as a further condition of a query."""
    if slot is None:
        return ""
    return f" AND get_byte(uuid_send(aggregate_id), 15) % {SLOTS} = {slot}"


def rows_of_aggregates(after_versions: Mapping[bytes, int]) -> str:
    """The rows of many aggregates, each above its version."""
    versions = ",".join(map(str, after_versions.values()))
    return _filled(
        "rows_of_aggregates", aggregates=_uuids(after_versions), versions=f"'{{{versions}}}'"
    )


def rows_of_history(aggregate: bytes, after: int, limit: int) -> str:
    """So many rows of one aggregate above a version."""
    return _filled(
        "rows_of_history", aggregate=f"'{aggregate.hex()}'", after=str(after), limit=str(limit)
    )


def rows_of_ids(event_ids: Sequence[bytes]) -> str:
    """The rows of those events that are in the log."""
    return _filled("rows_of_ids", ids=_uuids(event_ids))


def rows_of_causes(causes: Sequence[bytes], limit: int) -> str:
    """The events that name one of these as their cause."""
    firsts = [event_id(cause, 0) for cause in causes]
    return _filled("rows_of_causes", causes=_uuids(causes), firsts=_uuids(firsts), limit=str(limit))


def rows_of_correlation(correlation: bytes, limit: int) -> str:
    """The events of one correlation."""
    first = event_id(correlation, 0)
    return _filled(
        "rows_of_correlation",
        correlation=f"'{correlation.hex()}'", first=f"'{first.hex()}'", limit=str(limit),
    )  # fmt: skip


def _filled(name: str, **parts: str) -> str:
    return QUERIES[name].format(columns=_COLUMN_LIST, **parts)


def _uuids(ids: "Mapping[bytes, int] | Sequence[bytes]") -> str:
    return "'{" + ",".join(each.hex() for each in ids) + "}'"


def _can_match(glob: str) -> bool:
    """No text in the log has a NUL or half of a surrogate pair: Postgres holds none."""
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in glob)


def _literal(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"
