"""Classes that the drivers of a simulation bring along: two revisions of one actor type.

They are pickled by reference, as classes of an installed package are: making a class anew for
each host would take most of a simulation's time, and tests nothing that is simulated.
"""

import sys
from types import ModuleType

from tests.simulation.devices import Ledger

MODULE = "simulated_shipped_devices"


def _module() -> ModuleType:
    module = ModuleType(MODULE)
    module.__file__ = f"/site-packages/{MODULE}.py"
    sys.modules[MODULE] = module
    for revision in (1, 2):
        name = f"Shipped{revision}"
        made = type(
            name,
            (Ledger,),
            {
                "__module__": MODULE,
                "__qualname__": name,
                "actor_type": "shipped",
                "revision": revision,
                # Events may be published under its source before a host knows it.
                "ignores": (*Ledger.ignores, "published"),
                # Each is the other changed, under a name of its own.
                "replaces": (f"{MODULE}.Shipped{3 - revision}",),
            },
        )
        made.state_type = Ledger.state_type  # type: ignore[attr-defined]
        setattr(module, name, made)
    # By which ledgers are found: one that travels by its name as well.
    found = type("Found", (Ledger,), {"__module__": MODULE, "actor_type": "ledger"})
    found.state_type = Ledger.state_type  # type: ignore[attr-defined]
    setattr(module, "Found", found)  # noqa: B010 - no module has it otherwise
    return module


_made = _module()
Shipped1: type[Ledger] = _made.Shipped1
Shipped2: type[Ledger] = _made.Shipped2
Found: type[Ledger] = _made.Found
