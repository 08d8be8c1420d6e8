"""Actor classes on their way to hosts that cannot import them.

Commands and events never travel as pickles; classes have to, as code, like every Ray
task. Who may send one may run code in the cluster already.
"""

import copyreg
import dataclasses
import sys
from typing import Any

from ray import cloudpickle

from actors.actor import Actor

# The dataclasses module tells its sentinels apart by identity; pickled with a class of a
# driver script they would arrive as strangers, and no default would be one any more.
copyreg.pickle(type(dataclasses.MISSING), lambda _: "MISSING")
copyreg.pickle(dataclasses._FIELD_BASE, lambda sentinel: sentinel.name)  # type: ignore[attr-defined]


def pickled_class(actor: type[Actor[Any]]) -> bytes:
    """A class with its module's code, where that module is the user's own: a host runs in
    another process and perhaps on another machine, where it cannot be imported."""
    module = sys.modules[actor.__module__]
    if module.__name__ == "__main__" or _installed(module):
        return cloudpickle.dumps(actor)  # type: ignore[no-any-return]
    cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(actor)  # type: ignore[no-any-return]
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _installed(module: Any) -> bool:
    root = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None) or ""
    return root == "actors" or "site-packages" in file
