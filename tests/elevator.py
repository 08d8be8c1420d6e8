"""An actor whose class drivers send: no settings tell a host where to import it."""

from collections.abc import Iterator

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent


class Lift(Command):
    floors: int


class Lifted(DeviceEvent):
    floors: int


class Elevator(Actor[dict[str, int]]):
    @handles
    def lift(self, message: Lift) -> Iterator[Lifted]:
        yield Lifted(floors=message.floors)

    @applies
    def lifted(self, event: Lifted) -> None:
        self.state["floor"] = self.state.get("floor", 0) + event.floors
