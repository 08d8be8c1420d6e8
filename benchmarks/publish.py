"""Write the figures of build/bench.json into the README's table.

make bench && python -m benchmarks.publish
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- figures: begin", "<!-- figures: end -->"


def shown(figures: dict[str, Any], key: str) -> str:
    """A figure with its spread, and its target where it has one."""
    if key not in figures:
        return "not measured yet"
    value = figures[key]
    if value is None:
        failure = str(figures.get(f"{key}_failure", "not measured"))
        return f"failed: {failure.partition(chr(10))[0].replace('|', '/')}"  # a cell is one line
    text = (
        f"{_number(value)} ({_number(figures[f'{key}_min'])} to {_number(figures[f'{key}_max'])})"
    )
    target = figures.get(f"{key}_target")
    if target is None:
        return text
    verdict = "met" if figures[f"{key}_met"] else "short"
    return f"{text}, target {_number(target)}: {verdict}"


def filled(readme: str, figures: dict[str, Any]) -> str:
    """The README with the third column of its table filled in."""
    begin, end = readme.index(BEGIN), readme.index(END)
    rows = []
    for line in readme[begin:end].splitlines():
        keys = re.findall(r"`(\w+)`", line) if line.startswith("|") else []
        if keys:
            what, named = line.split("|")[1:3]
            found = "; ".join(shown(figures, key) for key in keys)
            rows.append(f"|{what}|{named}| {found} |")
        else:
            rows.append(line)
    return readme[:begin] + "\n".join(rows) + "\n" + readme[end:]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def main() -> int:
    figures = json.loads((ROOT / "build" / "bench.json").read_text())
    if figures["quick"]:
        print("build/bench.json holds quick figures: run the whole of 'make bench' first")
        return 1
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(), figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
