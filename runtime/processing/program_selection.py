"""What a stream program selects."""

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
