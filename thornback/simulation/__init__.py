"""Runs a user's own actors, programs and handlers in a simulation: a whole system in one thread, in
virtual time, with faults, by a seed.

    from thornback.simulation import Night, simulated

    @simulated(nights=100)
    async def test_a_report_is_not_lost(night: Night) -> None:
        kitchen = night.system.actor(Thermostat, "kitchen")
        await night.ask(kitchen, ReportTemperature(celsius=21.5))
        await night.sleep(hours=8)
        assert (await kitchen.state()).celsius == 21.5

Hosts, writer, bus, directory, workers, timekeeper and deliverer are the very classes that run as
Ray actors elsewhere; what they touch outside themselves is simulated: time, Ray, connections,
database and chance. docs/howto/simulate.md says how to use it, and what it does not show.
`tests/simulation` checks the project itself with these parts.

Names are looked up when they are first used: what is needed of the runtime brings Ray's errors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thornback.simulation.errors import NotRepeatable as NotRepeatable
    from thornback.simulation.errors import NotSimulated as NotSimulated
    from thornback.simulation.errors import PromiseBroken as PromiseBroken
    from thornback.simulation.errors import SimulationError as SimulationError
    from thornback.simulation.errors import WaitsForEver as WaitsForEver
    from thornback.simulation.night import Night as Night
    from thornback.simulation.night_run import Outcome as Outcome
    from thornback.simulation.simulating import simulate as simulate
    from thornback.simulation.simulating import simulated as simulated
    from thornback.simulation.trouble import Faults as Faults

_MODULES = {
    "Faults": "trouble", "Night": "night", "NotRepeatable": "errors", "NotSimulated": "errors",
    "Outcome": "night_run", "PromiseBroken": "errors", "SimulationError": "errors",
    "WaitsForEver": "errors", "simulate": "simulating", "simulated": "simulating",
}  # fmt: skip

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
