"""The system of a simulation, as a driver sees it."""

from runtime.driver.connection import Connection
from runtime.process.world import World
from runtime.system import ActorSystem
from runtime.topology.status import Topology
from thornback.simulation.simulated_world import SimulatedCourier


class SimulatedSystem(ActorSystem):
    """A connection to it: what ActorSystem has, for code that awaits."""

    def __init__(self, topology: Topology, world: World, courier: SimulatedCourier) -> None:
        self.connection = Connection(topology, world, courier)
        self.namespace = self.connection.namespace
