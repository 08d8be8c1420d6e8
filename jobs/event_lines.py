"""How events are shown: one line each."""

from rich.markup import escape

from actors.event import Event, Kind
from jobs.terminal import as_json, console
from store.rows.json_events import members_of

_COLOURS = {Kind.DEVICE: "cyan", Kind.BUSINESS: "magenta", Kind.SYSTEM: "yellow"}


def print_event(event: Event, *, for_programs: bool, with_source: bool = True) -> None:
    """One event on one line."""
    if for_programs:
        print(as_json(members_of(event)), flush=True)
    else:
        console.print(described(event, with_source=with_source), soft_wrap=True)


def described(event: Event, *, with_source: bool = True) -> str:
    """An event as one line of rich's markup."""
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    whose = f" [bold]{escape(event.source)}[/]" if with_source else ""
    schema = "" if event.schema_version == 1 else f" [dim]schema {event.schema_version}[/]"
    return (
        f"[dim]{when}[/]{whose} [dim]v{event.version}[/] "
        f"[{_COLOURS[event.kind]}]{escape(event.event_type)}[/]{schema} "
        f"{escape(as_json(event.data))}"
    )
