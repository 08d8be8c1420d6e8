"""What was made of the log, beside what the log comes to now: the projection, and the program."""

from collections.abc import Iterator

from tests.chaos.history import History, Problem, TallyRow

#: What both of them follow, the program's name, and into how many groups it deals.
FOLLOWED = "counter/"
PROGRAM = "totals"
GROUPS = 7


def derived_problems(history: History) -> Iterator[Problem]:
    """Rows and outputs equal a fresh computation."""
    yield from _rows(history)
    yield from _outputs(history)


def tallied(history: History) -> dict[str, TallyRow]:
    """The rows that the log comes to, by key."""
    rows: dict[str, TallyRow] = {}
    for event in history.of_sources(FOLLOWED):
        before = rows.get(event.source)
        events, amount = (before.events, before.amount) if before is not None else (0, 0)
        rows[event.source] = TallyRow(
            key=event.source,
            events=events + 1,
            amount=amount + event.data["amount"],
            through=event.position,
        )
    return rows


def _rows(history: History) -> Iterator[Problem]:
    wanted = tallied(history)
    found = {row.key: row for row in history.tallies}
    if len(found) != len(history.tallies):
        yield Problem("projection", "a key has two rows")
    for key in sorted(found.keys() - wanted.keys()):
        yield Problem("projection", f"a row too many: {key}")
    for key in sorted(wanted.keys() - found.keys()):
        yield Problem("projection", f"a row too few: {key}")
    for key in sorted(wanted.keys() & found.keys()):
        if wanted[key] != found[key]:
            yield Problem("projection", f"{found[key]} should be {wanted[key]}")


def _outputs(history: History) -> Iterator[Problem]:
    """Each event of a group has one output, which counts it, in the order of the log."""
    wanted: dict[str, list[tuple[int, int, int, bytes]]] = {}
    for event in history.of_sources(FOLLOWED):
        group = int.from_bytes(event.aggregate_id, "big") % GROUPS
        outputs = wanted.setdefault(f"{PROGRAM}/group-{group}", [])
        count = len(outputs) + 1
        outputs.append((count, count, event.position, event.id))
    found: dict[str, list[tuple[int, int, int, bytes]]] = {}
    for row in history.of_sources(f"{PROGRAM}/"):
        output = row.version, row.data["count"], row.data["through"], row.causation_id or b""
        found.setdefault(row.source, []).append(output)
    for source in sorted(wanted.keys() | found.keys()):
        due, made = wanted.get(source, []), found.get(source, [])
        if due != made:
            at = next(
                (n for n, pair in enumerate(zip(due, made, strict=False)) if pair[0] != pair[1]),
                min(len(due), len(made)),
            )
            said = f"{len(made)} outputs instead of {len(due)}, and differs at the {at + 1}."
            yield Problem("output", f"{source} has {said}")
