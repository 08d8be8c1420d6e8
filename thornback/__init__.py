"""Everything a user of Thornback needs, from one import.

    from thornback import Actor, ActorSystem, BusinessEvent, Command, DeviceEvent, Rejected, handles

Names are looked up when they are first used (PEP 562), so a module that only defines
actors does not bring Ray in. Nothing inside the project imports this package.

The packages behind it have plain names (`jobs`, `store` ...), and Python looks for them in
the folder of the program first. So the first import looks whether anything hides them, and
raises ImportError that says what hides what.
"""

import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.actor import Actor as Actor
    from actors.actor import Command as Command
    from actors.actor import applies as applies
    from actors.actor import handles as handles
    from actors.clock import CausalRelation as CausalRelation
    from actors.clock import VectorClock as VectorClock
    from actors.devices import Aircraft as Aircraft
    from actors.devices import AircraftState as AircraftState
    from actors.devices import ArriveFlight as ArriveFlight
    from actors.devices import CancelFlight as CancelFlight
    from actors.devices import DepartFlight as DepartFlight
    from actors.devices import DeviceTwin as DeviceTwin
    from actors.devices import DeviceTwinState as DeviceTwinState
    from actors.devices import DivertFlight as DivertFlight
    from actors.devices import FlightArrived as FlightArrived
    from actors.devices import FlightCancelled as FlightCancelled
    from actors.devices import FlightDeparted as FlightDeparted
    from actors.devices import FlightDiverted as FlightDiverted
    from actors.devices import FlightPlan as FlightPlan
    from actors.devices import FlightScheduled as FlightScheduled
    from actors.devices import FlightStatus as FlightStatus
    from actors.devices import Leg as Leg
    from actors.devices import ObserveWeather as ObserveWeather
    from actors.devices import OpenFlight as OpenFlight
    from actors.devices import PropertiesReported as PropertiesReported
    from actors.devices import Property as Property
    from actors.devices import Readings as Readings
    from actors.devices import Report as Report
    from actors.devices import ScheduleFlight as ScheduleFlight
    from actors.devices import WeatherObserved as WeatherObserved
    from actors.devices import WeatherStation as WeatherStation
    from actors.devices import WeatherStationState as WeatherStationState
    from actors.errors import ActorError as ActorError
    from actors.errors import InvalidActor as InvalidActor
    from actors.errors import InvalidEvent as InvalidEvent
    from actors.errors import InvalidName as InvalidName
    from actors.errors import Rejected as Rejected
    from actors.errors import ThornbackError as ThornbackError
    from actors.errors import UnreadableEvent as UnreadableEvent
    from actors.event import BusinessEvent as BusinessEvent
    from actors.event import DeviceEvent as DeviceEvent
    from actors.event import Event as Event
    from actors.event import Kind as Kind
    from actors.event import Payload as Payload
    from actors.event import SystemEvent as SystemEvent
    from actors.lifecycle import ActorHasFailed as ActorHasFailed
    from actors.lifecycle import ActorWasErased as ActorWasErased
    from actors.lifecycle import ActorWasStarted as ActorWasStarted
    from actors.lifecycle import ActorWasStopped as ActorWasStopped
    from actors.listening import listens as listens
    from actors.messages import MessageRefused as MessageRefused
    from actors.messages import MessageReturned as MessageReturned
    from actors.messages import MessageSent as MessageSent
    from actors.naming import aggregate_id_of as aggregate_id_of
    from actors.schema import upcasts as upcasts
    from actors.supervision import RestartPolicy as RestartPolicy
    from actors.supervision import Supervision as Supervision
    from actors.tell import Tell as Tell
    from actors.timer_events import TimerCancelled as TimerCancelled
    from actors.timer_events import TimerFired as TimerFired
    from actors.timer_events import TimerSet as TimerSet
    from actors.timer_events import TimerSkipped as TimerSkipped
    from actors.timers import Cancel as Cancel
    from actors.timers import Schedule as Schedule
    from runtime.driver.bulk import BulkResult as BulkResult
    from runtime.driver.bulk import Send as Send
    from runtime.driver.ref import ActorRef as ActorRef
    from runtime.driver.reply import Reply as Reply
    from runtime.driver.scaling import ScalingStep as ScalingStep
    from runtime.driver.subscription import Subscription as Subscription
    from runtime.errors import ActorErased as ActorErased
    from runtime.errors import ActorRestarting as ActorRestarting
    from runtime.errors import ActorsMoved as ActorsMoved
    from runtime.errors import ActorStopped as ActorStopped
    from runtime.errors import AnotherRelease as AnotherRelease
    from runtime.errors import AnotherSystem as AnotherSystem
    from runtime.errors import AskTimeout as AskTimeout
    from runtime.errors import BusUnavailable as BusUnavailable
    from runtime.errors import ChannelFailed as ChannelFailed
    from runtime.errors import ConnectionClosed as ConnectionClosed
    from runtime.errors import DatabaseInUse as DatabaseInUse
    from runtime.errors import HandlerBlocked as HandlerBlocked
    from runtime.errors import HandlerFailed as HandlerFailed
    from runtime.errors import HostFailed as HostFailed
    from runtime.errors import HostUnavailable as HostUnavailable
    from runtime.errors import IndexBehind as IndexBehind
    from runtime.errors import InvalidMessage as InvalidMessage
    from runtime.errors import InvalidQuery as InvalidQuery
    from runtime.errors import InvalidState as InvalidState
    from runtime.errors import Lagged as Lagged
    from runtime.errors import LaunchFailed as LaunchFailed
    from runtime.errors import MailboxFull as MailboxFull
    from runtime.errors import NotPossible as NotPossible
    from runtime.errors import PublishRefused as PublishRefused
    from runtime.errors import RetriesExhausted as RetriesExhausted
    from runtime.errors import ShareTaken as ShareTaken
    from runtime.errors import StartFailed as StartFailed
    from runtime.errors import SubscribeTimeout as SubscribeTimeout
    from runtime.errors import SubscriptionTaken as SubscriptionTaken
    from runtime.errors import SystemDraining as SystemDraining
    from runtime.errors import SystemNotFound as SystemNotFound
    from runtime.errors import UnknownActorType as UnknownActorType
    from runtime.errors import UnknownMessage as UnknownMessage
    from runtime.errors import UnknownProgram as UnknownProgram
    from runtime.errors import WaitInHandler as WaitInHandler
    from runtime.processing.dead_letters import DeadLetters as DeadLetters
    from runtime.processing.dead_letters import Replayed as Replayed
    from runtime.processing.durable_subscription import DurableSubscription as DurableSubscription
    from runtime.processing.finding import Found as Found
    from runtime.processing.group_subscription import GroupSubscription as GroupSubscription
    from runtime.processing.merged_subscription import MergedSubscription as MergedSubscription
    from runtime.settings.configuration import ConfigurationError as ConfigurationError
    from runtime.settings.settings import Settings as Settings
    from runtime.system import ActorSystem as ActorSystem
    from runtime.system import PartitionedSystem as PartitionedSystem
    from runtime.topology.positions import Positions as Positions
    from runtime.topology.status import Drained as Drained
    from runtime.topology.status import DrainReport as DrainReport
    from runtime.topology.status import ProcessAway as ProcessAway
    from runtime.topology.status import ProcessStatus as ProcessStatus
    from runtime.topology.status import Progress as Progress
    from store.causality import Explanation as Explanation
    from store.erasures import ErasureReceipt as ErasureReceipt
    from store.errors import AnotherSelection as AnotherSelection
    from store.errors import AnotherTable as AnotherTable
    from store.errors import InvalidData as InvalidData
    from store.errors import NoProjection as NoProjection
    from store.errors import RowsRefused as RowsRefused
    from store.errors import SchemaMismatch as SchemaMismatch
    from store.errors import StoreError as StoreError
    from store.errors import StoreUnavailable as StoreUnavailable
    from store.errors import SystemReplaced as SystemReplaced
    from store.errors import UnknownEvent as UnknownEvent
    from store.event_store import EventStore as EventStore
    from store.scenario import Scenario as Scenario
    from store.selection import Selection as Selection
    from streams.aggregates import Count as Count
    from streams.aggregates import Latest as Latest
    from streams.aggregates import Max as Max
    from streams.aggregates import Mean as Mean
    from streams.aggregates import Min as Min
    from streams.aggregates import Sum as Sum
    from streams.aggregation import Aggregation as Aggregation
    from streams.algebra import process_stream as process_stream
    from streams.errors import InvalidProgram as InvalidProgram
    from streams.handler import Handler as Handler
    from streams.handlers import Handlers as Handlers
    from streams.join import Joined as Joined
    from streams.keyed import Batch as Batch
    from streams.keyed import Folded as Folded
    from streams.pipeline import EventPipeline as EventPipeline
    from streams.processors import BatchEventProcessor as BatchEventProcessor
    from streams.processors import EventProcessor as EventProcessor
    from streams.processors import EventTransformer as EventTransformer
    from streams.program import Change as Change
    from streams.program import Fact as Fact
    from streams.program import Output as Output
    from streams.program import Program as Program
    from streams.program import Stretch as Stretch
    from streams.projection import Projection as Projection
    from streams.projection_scenario import ProjectionScenario as ProjectionScenario
    from streams.scenario import StreamScenario as StreamScenario
    from streams.scenario import happened as happened
    from streams.sketches import Distinct as Distinct
    from streams.sketches import Quantiles as Quantiles
    from streams.windows import Replaced as Replaced
    from streams.windows import Session as Session
    from streams.windows import Sliding as Sliding
    from streams.windows import Tumbling as Tumbling
    from streams.windows import WindowResult as WindowResult
    from streams.windows import last_revisions as last_revisions

#: Where each name lives; what stands above is the same for type checkers.
_HOMES = {
    "actors.actor": ("Actor", "Command", "applies", "handles"),
    "actors.clock": ("CausalRelation", "VectorClock"),
    "actors.devices": (
        "Aircraft", "AircraftState", "ArriveFlight", "CancelFlight", "DepartFlight", "DeviceTwin",
        "DeviceTwinState", "DivertFlight", "FlightArrived", "FlightCancelled", "FlightDeparted",
        "FlightDiverted", "FlightPlan", "FlightScheduled", "FlightStatus", "Leg", "ObserveWeather",
        "OpenFlight", "PropertiesReported", "Property", "Readings", "Report", "ScheduleFlight",
        "WeatherObserved", "WeatherStation", "WeatherStationState",
    ),
    "actors.errors": (
        "ActorError", "InvalidActor", "InvalidEvent", "InvalidName", "Rejected", "ThornbackError",
        "UnreadableEvent",
    ),
    "actors.event": ("BusinessEvent", "DeviceEvent", "Event", "Kind", "Payload", "SystemEvent"),
    "actors.lifecycle": ("ActorHasFailed", "ActorWasErased", "ActorWasStarted", "ActorWasStopped"),
    "actors.listening": ("listens",),
    "actors.messages": ("MessageRefused", "MessageReturned", "MessageSent"),
    "actors.naming": ("aggregate_id_of",),
    "actors.schema": ("upcasts",),
    "actors.supervision": ("RestartPolicy", "Supervision"),
    "actors.tell": ("Tell",),
    "actors.timer_events": ("TimerCancelled", "TimerFired", "TimerSet", "TimerSkipped"),
    "actors.timers": ("Cancel", "Schedule"),
    "runtime.driver.bulk": ("BulkResult", "Send"),
    "runtime.driver.ref": ("ActorRef",),
    "runtime.driver.reply": ("Reply",),
    "runtime.driver.scaling": ("ScalingStep",),
    "runtime.driver.subscription": ("Subscription",),
    "runtime.errors": (
        "ActorErased", "ActorRestarting", "ActorStopped", "ActorsMoved", "AnotherRelease",
        "AnotherSystem", "AskTimeout", "BusUnavailable", "ChannelFailed", "ConnectionClosed",
        "DatabaseInUse", "HandlerBlocked", "HandlerFailed", "HostFailed", "HostUnavailable",
        "IndexBehind",
        "InvalidMessage", "InvalidQuery", "InvalidState", "Lagged", "LaunchFailed", "MailboxFull",
        "NotPossible", "PublishRefused", "RetriesExhausted", "ShareTaken", "StartFailed",
        "SubscribeTimeout", "SubscriptionTaken",
        "SystemDraining", "SystemNotFound", "UnknownActorType", "UnknownMessage", "UnknownProgram",
        "WaitInHandler",
    ),
    "runtime.processing.dead_letters": ("DeadLetters", "Replayed"),
    "runtime.processing.durable_subscription": ("DurableSubscription",),
    "runtime.processing.group_subscription": ("GroupSubscription",),
    "runtime.processing.finding": ("Found",),
    "runtime.processing.merged_subscription": ("MergedSubscription",),
    "runtime.settings.configuration": ("ConfigurationError",),
    "runtime.settings.settings": ("Settings",),
    "runtime.system": ("ActorSystem", "PartitionedSystem"),
    "runtime.topology.positions": ("Positions",),
    "runtime.topology.status": (
        "DrainReport", "Drained", "ProcessAway", "ProcessStatus", "Progress",
    ),
    "store.causality": ("Explanation",),
    "store.erasures": ("ErasureReceipt",),
    "store.errors": (
        "AnotherSelection", "AnotherTable", "InvalidData", "NoProjection", "RowsRefused",
        "SchemaMismatch", "StoreError", "StoreUnavailable", "SystemReplaced", "UnknownEvent",
    ),
    "store.event_store": ("EventStore",),
    "store.scenario": ("Scenario",),
    "store.selection": ("Selection",),
    "streams.aggregates": ("Count", "Latest", "Max", "Mean", "Min", "Sum"),
    "streams.aggregation": ("Aggregation",),
    "streams.algebra": ("process_stream",),
    "streams.errors": ("InvalidProgram",),
    "streams.handler": ("Handler",),
    "streams.handlers": ("Handlers",),
    "streams.join": ("Joined",),
    "streams.keyed": ("Batch", "Folded"),
    "streams.pipeline": ("EventPipeline",),
    "streams.processors": ("BatchEventProcessor", "EventProcessor", "EventTransformer"),
    "streams.program": ("Change", "Fact", "Output", "Program", "Stretch"),
    "streams.projection": ("Projection",),
    "streams.projection_scenario": ("ProjectionScenario",),
    "streams.scenario": ("StreamScenario", "happened"),
    "streams.sketches": ("Distinct", "Quantiles"),
    "streams.windows": (
        "Replaced", "Session", "Sliding", "Tumbling", "WindowResult", "last_revisions",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605 - a list, made of the table


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        near = get_close_matches(name, __all__, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}{hint}",
            name=name,
            obj=sys.modules[__name__],
        )
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


#: What this installation consists of, this package aside.
_PACKAGES = ("actors", "gateways", "jobs", "runtime", "store", "streams")


def _refuse_to_be_hidden() -> None:
    """Raise ImportError where one of our names leads somewhere else than to the package
    that lies beside this one. Imports nothing."""
    home = Path(__file__).absolute().parents[1]
    for package in _PACKAGES:
        ours, found = home / package, _place_of(package)
        if found is not None and Path(found).resolve() != ours.resolve():
            raise ImportError(
                f"{found} hides the package {package!r} of Thornback, which lies in {ours}: "
                "rename it, or start the program from another folder",
                name=package,
                path=found,
            )


def _place_of(package: str) -> str | None:
    """The folder, or else the file, that an import of this name would lead to."""
    try:
        spec = find_spec(package)
    except ValueError:  # it was imported already, by something that gave it no spec
        return getattr(sys.modules[package], "__file__", None)
    if spec is None:
        return None  # its import will say so
    return next(iter(spec.submodule_search_locations or ()), spec.origin)


_refuse_to_be_hidden()
