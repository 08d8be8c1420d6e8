"""An explanation on a terminal."""

from rich.markup import escape
from rich.tree import Tree

from actors.clock import CausalRelation
from jobs.event_lines import described
from jobs.explaining.forest import beside, lines
from store.causality import Explanation

#: What is said of an event that is only of the same correlation.
_WORDS = {
    CausalRelation.HAPPENED_BEFORE.value: "later",
    CausalRelation.HAPPENED_AFTER.value: "earlier",
}


def tree_of(explanation: Explanation) -> Tree:
    """The events below their causes; the one that is explained is marked."""
    tree = Tree("", hide_root=True)
    path = [tree]
    apart = beside(explanation)
    for line in lines(explanation):
        if line.event is None:
            text = f"[dim]{escape(line.origin)}[/]"
        else:
            text = described(line.event)
            if line.event.id == explanation.event.id:
                text = f"[reverse] {line.event.position:,} [/] {text} [bold]<- this one[/]"
            else:
                said = word(apart.get(line.event.id, ""))
                text = f"[dim]{line.event.position:,}[/] {text} [dim]{said}[/]"
        del path[line.depth + 1 :]
        path.append(path[line.depth].add(text))
    return tree


def word(relation: str) -> str:
    """How an event stands to the one that is explained, where neither has caused the other."""
    return _WORDS.get(relation, relation)
