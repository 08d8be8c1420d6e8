"""Explain why an event is in the log: what has caused it, and what it has caused.

It is named by its id; the id of a command stands for its first event. Events of the same
correlation are shown, too: one that neither is in the past of the event nor has it in its own is
concurrent. Needs the database, and no Ray.
"""

import argparse
from pathlib import Path
from uuid import UUID

from gateways.explanations import members_of_explanation
from jobs.explaining.svg import svg_of
from jobs.explaining.tree import tree_of
from jobs.subscriptions import asked
from jobs.terminal import IMPOSSIBLE, as_json, problems, run, show
from jobs.whole_files import written_whole
from runtime.settings.settings import Settings
from store.causality import LARGEST_LIMIT, LIMIT, explain


def explain_event(
    settings: Settings,
    event_id: UUID,
    *,
    limit: int = LIMIT,
    svg: Path | None = None,
    for_programs: bool = False,
) -> int:
    """Show the explanation of an event, or write it as a picture; the exit code. Raises
    UnknownEvent, and what `asked` does."""
    found = asked(settings, lambda store: explain(store, event_id, limit))
    if svg is not None:
        try:
            with written_whole(svg) as path:
                path.write_text(svg_of(found), encoding="utf-8")
        except OSError as error:
            problems.print(f"error: {svg}: {error.strerror or error}", markup=False)
            return IMPOSSIBLE
    if for_programs:
        print(as_json(members_of_explanation(found)))
        return 0
    if svg is None:
        show(tree_of(found))
    for cut in found.cuts:
        problems.print(f"left out: {cut}", markup=False)
    return 0


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "event_id", type=UUID, metavar="EVENT_ID", help="of an event, or a command"
    )
    options.add_argument(
        "--limit", type=int, default=LIMIT, choices=range(1, LARGEST_LIMIT + 1), metavar="N",
        help=f"effects, causes and events of the correlation at most (default: {LIMIT:,})",
    )  # fmt: skip
    options.add_argument("--svg", type=Path, metavar="FILE", help="write a picture of it")
    options.add_argument("--config", type=Path, help="settings file")
    options.add_argument("--json", action="store_true", help="print JSON, for programs")
    given = options.parse_args()
    return explain_event(
        Settings.load(given.config),
        given.event_id, limit=given.limit, svg=given.svg, for_programs=given.json,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
