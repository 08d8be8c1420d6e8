"""A driver's own settings, and those of them that do not count and name another database.

Whoever sets DATABASE_URL for a driver means that its events go there. They go where the system was
launched to put them, so that is said.
"""

import logging
from functools import cache

from runtime.settings.settings import Settings

logger = logging.getLogger("thornback.driver")

#: Origins of what is set for this program alone.
_SAID_HERE = ("environment variable", "argument")


def own_settings(given: Settings | None) -> Settings:
    """Those that are given, or else those of the environment and of the file. Raises TypeError
    for what are none, and ConfigurationError."""
    if given is None:
        return Settings.load()
    if not isinstance(given, Settings):
        problem = f"settings= takes Settings, not {given!r:.80}"
        raise TypeError(f"{problem}: Settings.load(actor_system={{'hosts': 4}}) makes them")
    return given


def say_what_does_not_count(own: Settings, running: Settings) -> None:
    """Have it logged, once in this program, where its environment or its code sets another
    database than the system has. A file of settings may be there for others."""
    keys = ["type", "connection_string"]
    if not own.event_store.connection_string.get_secret_value():
        keys.append("data_folder")  # or it would not count at a launch either
    for key in keys:
        origin = own.origin("event_store", key)
        mine, there = getattr(own.event_store, key), getattr(running.event_store, key)
        if origin.startswith(_SAID_HERE) and mine != there and mine:
            _say_once(f"event_store.{key}, from {origin}")


@cache
def _say_once(what: str) -> None:
    logger.warning(
        "%s, does not count for a driver: the system has another database, the one with which it "
        "was launched (`thornback settings --running` shows it)",
        what,
    )
