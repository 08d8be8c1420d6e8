"""What a caller can be told: the errors that the runtime raises."""

from collections.abc import Sequence
from typing import Any

from actors.errors import ThornbackError


class UnknownActorType(ThornbackError):
    """No host knows an actor of this type, and the caller has not said its class."""

    def __init__(self, actor_type: str) -> None:
        super().__init__(actor_type)
        self.actor_type = actor_type

    def __str__(self) -> str:
        return (
            f"no actor type {self.actor_type!r}: pass the class to system.actor(), or name its "
            "module in actor_system.actor_modules"
        )


class UnknownProgram(ThornbackError):
    """No stream program of this name runs."""

    def __init__(self, program: str, running: str) -> None:
        super().__init__(program, running)
        self.program, self.running = program, running

    def __str__(self) -> str:
        said = f"no stream program {self.program!r} runs here; what runs: {self.running}"
        return (
            f"{said}; an actor is a ref, system.actor(CLASS, name)" if "/" in self.program else said
        )


class InvalidQuery(ThornbackError):
    """A fleet cannot be asked so; the message says what it can be asked."""

    def __init__(self, actor_type: str, problem: str) -> None:
        super().__init__(actor_type, problem)
        self.actor_type, self.problem = actor_type, problem

    def __str__(self) -> str:
        return f"{self.actor_type}: {self.problem}"


class IndexBehind(ThornbackError):
    """The index of an actor type has not come in time to the position that was asked for; one that
    has not begun stands at position 0."""

    def __init__(self, actor_type: str, position: int, wanted: int, waited_s: float) -> None:
        super().__init__(actor_type, position, wanted, waited_s)
        self.actor_type, self.position, self.wanted = actor_type, position, wanted
        self.waited_s = waited_s

    def __str__(self) -> str:
        return (
            f"the index of {self.actor_type} stands at position {self.position:,}, and "
            f"{self.wanted:,} was asked for, "
            f"{self.waited_s:g} s ago: ask again, or for what there is, at_least=0 (thornback "
            "programs shows how far it is)"
        )


class UnknownMessage(ThornbackError):
    """The actor has no handler for this message type."""

    def __init__(self, source: str, message_type: str, known: str) -> None:
        super().__init__(source, message_type, known)
        self.source, self.message_type, self.known = source, message_type, known

    def __str__(self) -> str:
        return f"{self.source} does not handle {self.message_type!r}; it handles {self.known}"


class InvalidMessage(ThornbackError):
    """The message's data does not fit its type; `problem` says which field and why."""

    def __init__(self, source: str, message_type: str, problem: str) -> None:
        super().__init__(source, message_type, problem)
        self.source, self.message_type, self.problem = source, message_type, problem

    def __str__(self) -> str:
        return f"{self.message_type} for {self.source}: {self.problem}"


class HandlerFailed(ThornbackError):
    """A handler raised something else than Rejected; its supervisor did what `decision`
    says. Nothing of the command was stored. `frames` says where in its user's code: the last
    ones, as "file:line, in function". The whole traceback is in the log (`thornback logs`)."""

    def __init__(
        self,
        source: str,
        message_type: str,
        failure: str,
        decision: str,
        frames: Sequence[str] = (),
    ) -> None:
        super().__init__(source, message_type, failure, decision, list(frames))
        self.source, self.message_type = source, message_type
        self.failure, self.decision, self.frames = failure, decision, tuple(frames)

    def __str__(self) -> str:
        said = f"{self.source} failed at {self.message_type}: {self.failure} ({self.decision})"
        return "\n  ".join([said, *self.frames])


class HandlerBlocked(HandlerFailed):
    """A handler took longer than its actor's time limit, or ended its host's process. It was
    interrupted, or the host replaced, so that others go on; nothing of the command was stored, and
    its supervisor did what `decision` says. The same command is not run again for an hour, or
    until its actor's class comes with other code: it is answered so at once."""

    #: In its host: what was interrupted (runtime/host/interruptible.py). It does not travel.
    at: Sequence[Any] = ()


class InvalidState(ThornbackError):
    """The actor's state has no form in JSON, so it cannot be shown, nor snapshots be taken; or
    it does not fit the class that whoever asks has."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"the state of {self.source} {self.problem}"


class HostFailed(ThornbackError):
    """The host itself failed at this command, which should not happen; its log says where.
    The outcome is open: a retry with the same command id is safe, and tells."""

    def __init__(self, host: str, failure: str) -> None:
        super().__init__(host, failure)
        self.host, self.failure = host, failure

    def __str__(self) -> str:
        return f"{self.host} failed at a command: {self.failure}"


class ActorStopped(ThornbackError):
    """The actor was stopped, by its supervisor or by somebody, and takes no messages until it is
    started (`system.start(ref)`). Nothing of this was run."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source} was stopped, because {self.reason} (system.start(ref) starts it)"


class ActorErased(ThornbackError):
    """The actor was erased, and takes nothing until it is started (`system.start(ref)`): it begins
    anew then. Nothing of this was run."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source} was erased: {self.reason} (system.start(ref) lets it begin anew)"


class ActorRestarting(ThornbackError):
    """The actor has failed, or `failed` has, another one of its group, and rests before it is
    restarted, for `left_s` from now on. Nothing of this was run: sending it again then, under its
    id, is safe."""

    def __init__(self, source: str, left_s: float, failed: str = "") -> None:
        super().__init__(source, left_s, failed)
        self.source, self.left_s, self.failed = source, left_s, failed

    def __str__(self) -> str:
        why = "has failed, and rests"
        if self.failed:
            why = f"rests, because {self.failed} of its group has failed,"
        return f"{self.source} {why} before it is restarted: send it again in {self.left_s} s"


class MailboxFull(ThornbackError):
    """The host holds as many unanswered commands as it may; nothing of this was run."""

    def __init__(self, host: str, capacity: int) -> None:
        super().__init__(host, capacity)
        self.host, self.capacity = host, capacity

    def __str__(self) -> str:
        return f"{self.host}: its mailbox of {self.capacity} commands is full; slow down and retry"


class AskTimeout(ThornbackError):
    """No answer in time. The command may still take effect: a retry with its id tells."""

    def __init__(self, what: str, timeout_s: float, to: str = "", doing: str = "") -> None:
        super().__init__(what, timeout_s, to, doing)
        self.what, self.timeout_s = what, timeout_s
        self.to = to  #: the message type of the command
        self.doing = doing  #: what is known of the host that has it

    def __str__(self) -> str:
        to = f" to {self.to!r}" if self.to else ""
        doing = f": {self.doing}" if self.doing else ""
        return f"{self.what}: no answer within {self.timeout_s:g} s{to}{doing}"


class WaitInHandler(ThornbackError):
    """A handler, or an applier, waits for an answer of the system that runs it: all actors of
    its host would wait with it, and the one that is to answer may be one of them."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return (
            f"a handler waits for {self.what}, and all actors of its host with it: it decides from "
            "its state and its message alone, so let whoever sends the command ask first, and "
            "send what comes of it along"
        )


class HostUnavailable(ThornbackError):
    """The host's process is away and did not come back in time. The outcome is open: a
    retry with the same command id is safe."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason

    def __str__(self) -> str:
        return f"{self.host} is not available: {self.reason}"


class ActorsMoved(HostUnavailable):
    """Actors that a host was sent a command for live at another one by now, by the table of shards
    of that `version`. Nothing of what came with the command was run. Drivers send it there by
    themselves; told are those who ask a host directly, and those whose time is over."""

    def __init__(self, host: str, reason: str, version: int = 0) -> None:
        super().__init__(host, reason)
        self.args = host, reason, version
        self.version = version


class ConnectionClosed(ThornbackError):
    """This connection was closed: it takes no calls any more. The system may run on. What was
    unanswered then has an open outcome: a retry with the same command id is safe. In a `forked`
    process it is its parent's, where it goes on."""

    def __init__(self, namespace: str, forked: bool = False) -> None:
        super().__init__(namespace, forked)
        self.namespace, self.forked = namespace, forked

    def __str__(self) -> str:
        if self.forked:
            return (
                f"the connection to {self.namespace!r} stayed in the process that forked this "
                "one: fork before you connect, or start processes by the method spawn"
            )
        return f"the connection to {self.namespace!r} was closed: connect anew"


class ChannelFailed(ThornbackError):
    """This program's way to a host has ended by a fault of its own, which was logged:
    connect anew. The outcome is open, like that of a host that is away."""

    def __init__(self, host: str, fault: str) -> None:
        super().__init__(host, fault)
        self.host, self.fault = host, fault

    def __str__(self) -> str:
        return f"the way to {self.host} has ended by a fault: {self.fault}"


class BusUnavailable(ThornbackError):
    """The bus is away, or does not answer. Nothing is lost: it will be back, and who asks
    again goes on where he was."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the bus is not available: {self.reason}"


class SubscribeTimeout(ThornbackError):
    """The bus did not say in time from where on a new subscription reads, so there is none.
    Try again, or say the position (`after`). Or a durable one, `name`, was not opened in time; it
    may yet be, for nobody: try again."""

    def __init__(self, timeout_s: float, name: str = "") -> None:
        super().__init__(timeout_s, name)
        self.timeout_s, self.name = timeout_s, name

    def __str__(self) -> str:
        if self.name:
            return f"the durable subscription {self.name!r} was not opened in {self.timeout_s:g} s"
        return f"the bus did not say within {self.timeout_s:g} s where the log stands"


class Lagged(ThornbackError):
    """A subscription that does not catch up has missed so many events: those that it selects of the
    positions above `after` up to `through`. It goes on behind them when it is iterated again."""

    def __init__(self, missed: int, after: int, through: int) -> None:
        super().__init__(missed, after, through)
        self.missed, self.after, self.through = missed, after, through

    def __str__(self) -> str:
        return (
            f"{self.missed} events were missed, after position {self.after} and up to "
            f"{self.through}: this subscription does not catch up"
        )


class StartFailed(HostUnavailable):
    """The process is there and cannot start, for the reason that is given. It tries again
    at its next call."""

    def __str__(self) -> str:
        return f"{self.host} does not start: {self.reason}"


class SystemNotFound(ThornbackError):
    """No system is running in this namespace; `tried` says on which Ray, and what runs there, or
    why there is no Ray to look at, and `remedy` what to do, unless `tried` says that, too."""

    #: What to do where nothing runs and nothing else is known.
    START = "start one (`thornback up`, or `thornback launch` on a Ray of your own)"

    def __init__(self, namespace: str, tried: str = "", remedy: str = START) -> None:
        super().__init__(namespace, tried, remedy)
        self.namespace, self.tried, self.remedy = namespace, tried, remedy

    def __str__(self) -> str:
        tried = f" ({self.tried})" if self.tried else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"no system runs in namespace {self.namespace!r}{tried}{remedy}"


class AnotherRelease(ThornbackError):
    """The system is of another release of Thornback than this program: `theirs`, which is empty
    where the system does not say, and `ours`. Nothing was done."""

    def __init__(self, theirs: str, ours: str) -> None:
        super().__init__(theirs, ours)
        self.theirs, self.ours = theirs, ours

    def __str__(self) -> str:
        theirs = f"release {self.theirs}" if self.theirs else "another release"
        return (
            f"the system is of {theirs} of Thornback, and this program is of {self.ours}: install "
            "the system's release for this program, or drain the system and launch it with this one"
        )


class SystemDraining(ThornbackError):
    """The system is being stopped: it takes no new drivers, and is not launched meanwhile."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.namespace = namespace

    def __str__(self) -> str:
        return (
            f"the system in namespace {self.namespace!r} is being drained: "
            "launch it again when that has ended"
        )


class AnotherSystem(ThornbackError):
    """The system that was to be drained has ended, and another one was launched in its namespace
    since. That one is left alone."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.namespace = namespace

    def __str__(self) -> str:
        return (
            f"the system in namespace {self.namespace!r} that was to be drained has ended, and "
            "another one was launched since, which is left alone: to end that one, drain again"
        )


class SubscriptionTaken(ThornbackError):
    """Somebody else has opened the durable subscription of this name, or has dropped it: what is
    handed out here any more could not be said to be finished."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"the durable subscription {self.name!r} was opened somewhere else, or dropped: one "
            "reader at a time has it"
        )


class ShareTaken(ThornbackError):
    """Another member of the group has taken slots of this one over, which was silent for too long:
    what this one has finished of them, and had not kept yet, comes again there. Reading goes on."""

    def __init__(self, name: str, *slots: int) -> None:
        super().__init__(name, *slots)
        self.name, self.slots = name, slots

    def __str__(self) -> str:
        slots = ", ".join(map(str, self.slots))
        return (
            f"another member of the group {self.name!r} has taken over what this one had (slots "
            f"{slots}): some of what was finished here comes again there, and reading goes on"
        )


class NotPossible(ThornbackError):
    """It cannot be done here; the reason says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class LaunchFailed(ThornbackError):
    """The system could not be started. What this launch had started was stopped again, and
    what ran before runs on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the system could not be launched: {self.reason}"


class DatabaseInUse(LaunchFailed):
    """The database is another system's, which is alive; `by` says which. One database has one
    system."""

    def __init__(self, where: str, by: str) -> None:
        ThornbackError.__init__(self, where, by)
        self.where, self.by = where, by
        self.reason = (
            f"the database at {where} is in use by {by}: drain that one, name another database "
            "(DATABASE_URL, or event_store.data_folder), or take this one over: --take-over, "
            "launch(take_over=True)"
        )


class PublishRefused(ThornbackError):
    """An event from outside may not enter the log under this source."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"cannot publish for {self.source}: {self.problem}"


class RetriesExhausted(ThornbackError):
    """The log kept refusing this command's events; nothing of it was stored."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source}: the log refused its events again and again: {self.reason}"


def fresh(error: Exception) -> Exception:
    """The error anew: one raised at several places would collect all their tracebacks."""
    return type(error)(*error.args)
