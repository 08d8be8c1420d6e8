"""Actor classes as a driver sends them to its hosts: each pickled once."""

import threading
from collections.abc import Iterable
from typing import Any

from actors.actor import Actor
from actors.actor_type import decided_by_another, deciding_names
from actors.errors import InvalidActor
from runtime.wire.class_shipping import name_of_main, pickled_class


class ShippedClasses:
    """Actor classes as they are sent to hosts, each pickled once. For any thread."""

    def __init__(self, known_modules: Iterable[str]) -> None:
        self._known = tuple(known_modules)  # immutable: hosts import these themselves
        self._lock = (
            threading.Lock()
        )  # for who adds to the table; and pickling is not for two at once
        self._shipped: dict[type[Actor[Any]], bytes | None] = {}
        self._deciding: dict[str, str] = {}  # by actor type: the class that was sent for it last

    def shipped(self, actor: type[Actor[Any]]) -> bytes | None:
        """A class for hosts that cannot import it; None for those that have it anyway.
        Raises InvalidActor for one that cannot be sent, or that is another of its actor type
        than the one that was sent before. Blocks while one is pickled, which takes as long as
        it and what it uses are large, and while another thread pickles; see `ready`."""
        if not self.ready(actor):
            with self._lock:
                if actor not in self._shipped:
                    self._check_name(actor)
                    self._shipped[actor] = self._pickled(actor)
        return self._shipped[actor]

    def ready(self, actor: type[Actor[Any]]) -> bool:
        """Does `shipped` give it at once?"""
        return actor in self._shipped

    def _check_name(self, actor: type[Actor[Any]]) -> None:
        """Is it the only class of its actor type here, or the same one changed?"""
        name_of_main(actor)
        before = self._deciding.setdefault(actor.actor_type, actor.class_name())
        if before not in deciding_names(actor):
            raise InvalidActor(actor.actor_type, decided_by_another(actor, before))
        self._deciding[actor.actor_type] = actor.class_name()

    def _pickled(self, actor: type[Actor[Any]]) -> bytes | None:
        module = actor.__module__
        if any(module == name or module.startswith(f"{name}.") for name in self._known):
            return None
        try:
            return pickled_class(actor)
        except Exception as error:  # whatever pickling a user's class comes to
            raise InvalidActor(actor.actor_type, f"it cannot be sent: {error}") from error
