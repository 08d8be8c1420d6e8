"""What the bench came to: one table, and the same as flat JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Results
from benchmarks.sizes import Sizes

Facts = Mapping[str, str | int | float | bool]
Flat = dict[str, str | int | float | bool | None]


def show(
    console: Console, figures: Iterable[Figure], results: Results, sizes: Sizes, title: str
) -> None:
    """Print the table, and below it what went wrong."""
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for column in ("median", "least", "most", "target"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("what went in", ratio=1)
    medians = results.medians()
    for figure in figures:
        table.add_row(*_row(figure, medians, results), figure.says(sizes))
    console.print(table)
    for key, failure in results.failures.items():
        console.print(f"[red]FAILED[/] {key}: {failure}", highlight=False)


def flat(figures: Iterable[Figure], results: Results, sizes: Sizes, facts: Facts) -> Flat:
    """Every figure as `key`, `key_min`, `key_max`, `key_target`, `key_met` and `key_input`;
    one that failed is null, with the reason as `key_failure`. The facts beside them."""
    medians = results.medians()
    found: Flat = dict(facts)
    for figure in figures:
        key = figure.key
        found[key] = _rounded(medians[key]) if key in medians else None
        if key in results.failures:
            found[f"{key}_failure"] = results.failures[key]
        if key in medians:
            found[f"{key}_min"] = _rounded(min(results.values[key]))
            found[f"{key}_max"] = _rounded(max(results.values[key]))
        target = figure.target(medians) if figure.target else None
        if target is not None:
            found[f"{key}_target"] = _rounded(target)
            found[f"{key}_met"] = key in medians and figure.met(medians[key], target)
        found[f"{key}_input"] = figure.says(sizes)
    return found


def write(path: Path, content: Flat) -> None:
    """Write the JSON, all of it or nothing."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.replace(path)


def shown(value: float) -> str:
    """A number as a reader wants it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def _row(figure: Figure, medians: Mapping[str, float], results: Results) -> list[str]:
    target = figure.target(medians) if figure.target else None
    limit = "" if target is None else f"{'<=' if figure.at_most else '>='} {shown(target)}"
    if figure.key not in medians:
        return [figure.key, "[red]failed[/]", "", "", limit]
    median, values = medians[figure.key], results.values[figure.key]
    if target is not None:
        limit += " [green]met[/]" if figure.met(median, target) else " [red]short[/]"
    return [figure.key, shown(median), shown(min(values)), shown(max(values)), limit]


def _rounded(value: float) -> float:
    """Four digits are more than any spread allows to tell apart."""
    return float(f"{value:.5g}")
