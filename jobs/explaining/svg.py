"""An explanation as a picture: an event a line, indented below its cause, in SVG 1.1.

The layout is that of a list of folders, so no text needs to be measured, and a picture of a
thousand events can be read from top to bottom.
"""

from uuid import UUID
from xml.sax.saxutils import escape, quoteattr

from actors.clock import CausalRelation
from actors.event import Kind
from jobs.explaining.forest import Line, beside, lines
from jobs.explaining.tree import word
from jobs.terminal import as_json
from store.causality import Explanation

_LINE, _INDENT, _MARGIN, _LETTER = 26, 28, 16, 7.3
_COLOURS = {Kind.DEVICE: "#0e7490", Kind.BUSINESS: "#a21caf", Kind.SYSTEM: "#a16207"}
_APART = {CausalRelation.CONCURRENT.value, CausalRelation.CAUSALLY_INDEPENDENT.value}
_STYLE = (
    "text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2937}"
    ".dim{fill:#6b7280}.this{font-weight:bold}"
    "path{fill:none;stroke:#9ca3af}circle{stroke-width:1.5}"
)
#: Letters that XML 1.0 has no form for.
_NO_XML = dict.fromkeys(
    (*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF),
    "\N{REPLACEMENT CHARACTER}",
)


def svg_of(explanation: Explanation) -> str:
    """The whole picture, as text. Events of the correlation that were concurrent are hollow."""
    apart = beside(explanation)
    parts: list[str] = []
    rows: dict[int, int] = {}  # the row at each depth that what comes next hangs on
    widest = 0.0
    count = 0
    for row, line in enumerate(lines(explanation)):
        text = _text(line, explanation, apart)
        widest = max(widest, _x(line.depth) + 14 + len(text) * _LETTER)
        if line.depth:
            above, left = _y(rows[line.depth - 1]), _x(line.depth - 1)
            parts.append(f'<path d="M{left} {above + 5}V{_y(row)}H{_x(line.depth) - 5}"/>')
        parts += _node(line, row, text, explanation, apart)
        rows[line.depth] = row
        count = row + 1
    for cut in explanation.cuts:
        parts.append(_label(0, count, f"left out: {cut}", "dim"))
        widest = max(widest, _x(0) + 14 + (len(cut) + 10) * _LETTER)
        count += 1
    width, height = round(widest) + _MARGIN, count * _LINE + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _node(
    line: Line, row: int, text: str, explanation: Explanation, apart: dict[UUID, str]
) -> list[str]:
    if line.event is None:
        return [_label(line.depth, row, text, "dim")]
    colour = _COLOURS[line.event.kind]
    fill = "#ffffff" if apart.get(line.event.id) in _APART else colour
    this = line.event.id == explanation.event.id
    title = _clean(as_json(line.event.data))
    return [
        f"<g><title>{escape(title)}</title>",
        f'<circle cx="{_x(line.depth)}" cy="{_y(row)}" r="{7 if this else 4.5}" '
        f"fill={quoteattr(fill)} stroke={quoteattr(colour)}/>",
        _label(line.depth, row, text, "this" if this else ""),
        "</g>",
    ]


def _label(depth: int, row: int, text: str, kind: str) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{_x(depth) + 12}" y="{_y(row) + 4}"{named}>{escape(text)}</text>'


def _text(line: Line, explanation: Explanation, apart: dict[UUID, str]) -> str:
    event = line.event
    if event is None:
        return _clean(line.origin)
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S")
    said = word(apart.get(event.id, ""))
    this = "this one" if event.id == explanation.event.id else said
    parts = (event.event_type, event.source, f"v{event.version}", when, f"#{event.position}", this)
    return _clean("  ".join(part for part in parts if part))


def _clean(text: str) -> str:
    return text.translate(_NO_XML)


def _x(depth: int) -> int:
    return _MARGIN + 8 + depth * _INDENT


def _y(row: int) -> int:
    return _MARGIN + _LINE // 2 + row * _LINE
