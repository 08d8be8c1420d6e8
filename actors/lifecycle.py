"""What the log says of an actor's own life: that it failed, was stopped, was started again, was
erased.

The runtime makes these events, in the actor's own stream and with its versions; no handler does.
A state need not depend on them: a class that has no applier for one ignores it. That an actor is
stopped is known by them alone, to whichever host folds its log.
"""

from typing import Any

from actors.event import Payload, SystemEvent


class ActorHasFailed(SystemEvent):
    """A command of this actor failed, and it rests before it is restarted, or its host ends because
    of it. Nothing of the command is in the log. Of a policy without a rest nothing is told: the log
    would fill with it."""

    event_type = "actor-failed"

    message_type: str
    failure: str
    became: str  #: of the actor: restart or escalate
    rest_s: float = 0.0


class ActorWasStopped(SystemEvent):
    """From here on the actor takes no commands, until it is started."""

    event_type = "actor-stopped"

    reason: str
    message_type: str = ""  #: at which it, or `failed`, failed; empty where somebody has stopped it
    failure: str = ""
    failed: str = ""  #: the source of another actor of its group, where that is the one that failed


class ActorWasStarted(SystemEvent):
    """From here on the actor takes commands again."""

    event_type = "actor-started"

    reason: str = ""


class ActorWasErased(SystemEvent):
    """All that the actor was is over: from here on it takes no commands, until it is started, and
    begins anew then. The data of its events before this one is gone, or about to go."""

    event_type = "actor-erased"

    reason: str
    events: int  #: so many it had before this one


LifecycleEvent = ActorHasFailed | ActorWasStopped | ActorWasStarted | ActorWasErased

FAILED, STOPPED, STARTED, ERASED = (
    each.event_type for each in (ActorHasFailed, ActorWasStopped, ActorWasStarted, ActorWasErased)
)

#: The classes of them, by event type.
LIFECYCLE: dict[str, type[Payload]] = {
    each.event_type: each
    for each in (ActorHasFailed, ActorWasStopped, ActorWasStarted, ActorWasErased)
}


def another_s(payload: Any) -> bool:
    """Does this class of events, somebody else's, have the name of one of these?"""
    event_type = getattr(payload, "event_type", None)
    return event_type in LIFECYCLE and payload is not LIFECYCLE[event_type]


def taken(payload: Any) -> str:
    """What is said of one."""
    return (
        f"{payload.__name__}, and {payload.event_type!r} is what the log says of an actor's own "
        "life: give it another event_type"
    )
