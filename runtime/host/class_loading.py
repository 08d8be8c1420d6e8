"""Actor classes that a driver has sent become classes again.

What a class uses of its user's own modules has come along; what else it uses is imported
here, where the host runs.
"""

from typing import Any

from ray import cloudpickle

from actors.actor import Actor
from actors.errors import InvalidActor
from runtime.host.resident import FAILURES
from runtime.wire.actor_code import ActorCode


def loaded_class(pickled: bytes) -> type[Actor[Any]]:
    """The class in `pickled`. Raises InvalidActor, with the name of the module that is
    missing where that is the reason."""
    try:
        loaded = cloudpickle.loads(ActorCode.unpack(pickled).pickled)
    except ModuleNotFoundError as error:
        raise InvalidActor(
            "an actor class",
            f"it needs the module {error.name!r}, which its hosts cannot import: install it where "
            "they run, or launch the system by a job whose working directory has it",
        ) from error
    except FAILURES as error:  # whatever loading a user's class comes to, also sys.exit
        raise InvalidActor("an actor class", f"its hosts cannot load it: {error!r}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Actor) and loaded is not Actor):
        raise InvalidActor("an actor class", f"it is none: {loaded!r:.80}")
    return loaded
