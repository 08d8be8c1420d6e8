"""The chargers of a site share what its connection to the grid gives: each asks the site's
LoadManager for power, and is granted it as soon as there is enough, in the order in which they
have asked.

Nobody waits for an answer inside a handler. The charger that asks says who it is and in which
session, goes on, and the grant comes back as a message of its own. So a site with a thousand
chargers blocks nothing, and whatever is killed in the middle, each request is granted once, or
refused once, or withdrawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.errors import Rejected
from actors.event import BusinessEvent, DeviceEvent, Payload
from actors.messages import MessageRefused
from actors.tell import Tell

# What a load manager is told, and what happens at it ---------------------------------------


class SetLimit(Command):
    kw: float


class RequestPower(Command):
    charger: str
    session: int
    kw: float


class ReleasePower(Command):
    charger: str
    session: int


class LimitSet(BusinessEvent):
    kw: float


class PowerQueued(BusinessEvent):
    charger: str
    session: int
    kw: float


class PowerGranted(BusinessEvent):
    charger: str
    session: int
    kw: float


class PowerReleased(BusinessEvent):
    charger: str
    session: int
    kw: float  #: that was granted; 0: it was still waiting


# What a charger is told, and what happens at it ----------------------------------------------


class PlugIn(Command):
    site: str
    kw: float


class Unplug(Command):
    pass


class GrantPower(Command):
    session: int
    kw: float


class PluggedIn(DeviceEvent):
    site: str
    session: int
    kw: float


class ChargingStarted(DeviceEvent):
    session: int
    kw: float


class PowerDenied(DeviceEvent):
    session: int
    reason: str


class Unplugged(DeviceEvent):
    session: int
    kw: float  #: with which it was charging; 0: it was still waiting


# The actors ------------------------------------------------------------------------------------


@dataclass
class Request:
    charger: str
    session: int
    kw: float


@dataclass
class LoadManagerState:
    limit_kw: float = 0.0
    granted: dict[str, Request] = field(default_factory=dict)  #: by charger
    waiting: list[Request] = field(default_factory=list)

    @property
    def granted_kw(self) -> float:
        """All that is granted now."""
        return sum(one.kw for one in self.granted.values())


class LoadManager(Actor[LoadManagerState]):
    """One a site: what it has granted together is never more than its limit."""

    @handles
    def set_limit(self, message: SetLimit) -> Iterator[Payload | Tell]:
        granted_kw = self.state.granted_kw
        if message.kw < granted_kw:
            raise Rejected(f"{granted_kw:g} kW are granted: first some have to unplug")
        yield LimitSet(kw=message.kw)
        yield from self._grants(message.kw - granted_kw, self.state.waiting)

    @handles
    def request(self, message: RequestPower) -> Iterator[Payload | Tell]:
        if message.kw > self.state.limit_kw:
            raise Rejected(f"the site has {self.state.limit_kw:g} kW in all")
        asked = Request(message.charger, message.session, message.kw)
        yield PowerQueued(charger=asked.charger, session=asked.session, kw=asked.kw)
        free_kw = self.state.limit_kw - self.state.granted_kw
        yield from self._grants(free_kw, [*self.state.waiting, asked])

    @handles
    def release(self, message: ReleasePower) -> Iterator[Payload | Tell]:
        has = message.charger, message.session
        waiting = self.state.waiting
        left = [one for one in waiting if (one.charger, one.session) != has]
        held = self.state.granted.get(message.charger)
        kw = held.kw if held is not None and held.session == message.session else 0.0
        if not kw and len(left) == len(waiting):
            # It was refused. What has no effect may come once more, behind the charger's next
            # request: so it says which session it means.
            return
        yield PowerReleased(charger=message.charger, session=message.session, kw=kw)
        yield from self._grants(self.state.limit_kw - self.state.granted_kw + kw, left)

    def _grants(self, free_kw: float, waiting: list[Request]) -> Iterator[Payload | Tell]:
        """Those who have waited longest, as long as there is enough."""
        for one in waiting:
            if one.kw > free_kw:
                return
            free_kw -= one.kw
            yield PowerGranted(charger=one.charger, session=one.session, kw=one.kw)
            yield Tell((Charger, one.charger), GrantPower(session=one.session, kw=one.kw))

    @applies
    def limit_set(self, event: LimitSet) -> None:
        self.state.limit_kw = event.kw

    @applies
    def queued(self, event: PowerQueued) -> None:
        self.state.waiting.append(Request(event.charger, event.session, event.kw))

    @applies
    def granted(self, event: PowerGranted) -> None:
        self.state.waiting = [one for one in self.state.waiting if one.charger != event.charger]
        self.state.granted[event.charger] = Request(event.charger, event.session, event.kw)

    @applies
    def released(self, event: PowerReleased) -> None:
        self.state.waiting = [one for one in self.state.waiting if one.charger != event.charger]
        self.state.granted.pop(event.charger, None)


@dataclass
class ChargerState:
    site: str = ""
    session: int = 0  #: the present one, or the last
    plugged: bool = False
    kw: float = 0.0  #: with which it charges


class Charger(Actor[ChargerState]):
    """Charges with what it was granted, and not before."""

    actor_type = "managed-charger"

    @handles
    def plug_in(self, message: PlugIn) -> Iterator[Payload | Tell]:
        if self.state.plugged:
            raise Rejected("a car is plugged in")
        session = self.state.session + 1
        yield PluggedIn(site=message.site, session=session, kw=message.kw)
        yield Tell(
            (LoadManager, message.site),
            RequestPower(charger=self.name, session=session, kw=message.kw),
        )

    @handles
    def grant(self, message: GrantPower) -> Iterator[ChargingStarted]:
        # A grant for a car that has left: its release is on the way, behind its request.
        if self.state.plugged and message.session == self.state.session:
            yield ChargingStarted(session=message.session, kw=message.kw)

    @handles
    def denied(self, message: MessageRefused) -> Iterator[PowerDenied]:
        yield PowerDenied(session=message.message["session"], reason=message.reason)

    @handles
    def unplug(self, message: Unplug) -> Iterator[Payload | Tell]:
        if not self.state.plugged:
            raise Rejected("no car is plugged in")
        yield Unplugged(session=self.state.session, kw=self.state.kw)
        yield Tell(
            (LoadManager, self.state.site),
            ReleasePower(charger=self.name, session=self.state.session),
        )

    @applies
    def plugged_in(self, event: PluggedIn) -> None:
        self.state.site, self.state.session, self.state.plugged = event.site, event.session, True

    @applies
    def started(self, event: ChargingStarted) -> None:
        self.state.kw = event.kw

    @applies
    def was_denied(self, event: PowerDenied) -> None:
        if event.session == self.state.session:
            self.state.kw = 0.0

    @applies
    def unplugged(self, event: Unplugged) -> None:
        self.state.plugged, self.state.kw = False, 0.0
