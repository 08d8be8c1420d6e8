"""Explanations as programs read them."""

from typing import Any

from store.causality import Explanation
from store.rows.json_events import members_of


def members_of_explanation(found: Explanation) -> dict[str, Any]:
    """An explanation as an object of JSON: each event once, and elsewhere by its id. Ids and
    moments are still UUIDs and datetimes."""
    return {
        "event": found.event.id,
        "origin": found.origin,
        "ancestors": [event.id for event in found.ancestors],
        "descendants": [event.id for event in found.descendants],
        "concurrent": [event.id for event in found.concurrent],
        "events": [
            members_of(event) | {
                "cause": found.causes.get(event.id),
                "relation": event.relation_to(found.event).value,
            }
            for event in found.events
        ],
        "left_out": list(found.cuts),
    }  # fmt: skip
