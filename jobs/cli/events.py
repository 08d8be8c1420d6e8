"""How the commands show events."""

from typing import Any

from rich.markup import escape

from actors.event import Event, Kind
from jobs.terminal import as_json, console

_COLOURS = {Kind.DEVICE: "cyan", Kind.BUSINESS: "magenta", Kind.SYSTEM: "yellow"}


def print_event(event: Event, *, for_programs: bool, with_source: bool = True) -> None:
    """One event on one line."""
    if for_programs:
        print(as_json(plain(event)), flush=True)
        return
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    whose = f" [bold]{escape(event.source)}[/]" if with_source else ""
    console.print(
        f"[dim]{when}[/]{whose} [dim]v{event.version}[/] "
        f"[{_COLOURS[event.kind]}]{escape(event.event_type)}[/] {escape(as_json(event.data))}",
        soft_wrap=True,
    )


def plain(event: Event) -> dict[str, Any]:
    """An event in JSON's types, under the names of the columns of `log_events`."""
    return {
        "position": event.position,
        "source": event.source,
        "version": event.version,
        "kind": event.kind.value,
        "event_type": event.event_type,
        "data": event.data,
        "happened_at": event.timestamp,
        "recorded_at": event.recorded_at,
        "event_id": event.id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "vector_clock": dict(event.vector_clock.counts),
        "metadata": dict(event.metadata),
    }
