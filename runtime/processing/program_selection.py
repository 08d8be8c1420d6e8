"""What a stream program selects, and what its slots are called in the log."""

from actors.patterns import as_kinds
from store.selection import Selection
from streams.program import Program


def selection_of_program(program: Program) -> Selection:
    """What it selects, however that is written down: with `*` beside others everything."""
    types, sources = (
        () if "*" in patterns else tuple(sorted(set(patterns)))
        for patterns in (program.event_types, program.sources)
    )
    return Selection(event_types=types, sources=sources, kinds=as_kinds(program.kinds))


def slot_name(program: str, slot: int) -> str:
    """What a slot of a program is called among durable subscriptions."""
    return f"{program}/{slot}"
