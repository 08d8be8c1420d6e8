"""What a client is told when something does not work: problem details (RFC 9457).

One problem an error of docs/semantics.md. Nothing that a client sends is answered with another
5xx than 503, for what is away and comes back, and 504, for what did not answer in time.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic_core import PydanticSerializationError, to_json

from actors.errors import InvalidActor, InvalidName, Rejected, ThornbackError
from runtime.errors import (
    ActorErased,
    ActorRestarting,
    ActorStopped,
    AskTimeout,
    BusUnavailable,
    ChannelFailed,
    ConnectionClosed,
    HandlerBlocked,
    HandlerFailed,
    HostFailed,
    HostUnavailable,
    IndexBehind,
    InvalidMessage,
    InvalidQuery,
    InvalidState,
    MailboxFull,
    PublishRefused,
    RetriesExhausted,
    SystemDraining,
    SystemNotFound,
    UnknownActorType,
    UnknownMessage,
)
from store.errors import InvalidData, RowsRefused, StoreUnavailable, UnknownEvent

logger = logging.getLogger("thornback.gateway")

TYPE = "urn:thornback:problem:"
CONTENT_TYPE = "application/problem+json"

#: Said of a command whose outcome is open.
OPEN = "It may still take effect: send it again under its Idempotency-Key, which is safe and tells."
#: Said in its place of a question, which has no effect.
ASK_AGAIN = "It was a question: ask it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request is answered with no success."""

    status: int
    name: str  #: what follows TYPE
    title: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)  #: further members
    headers: Mapping[str, str] = field(default_factory=dict)  #: of its answer
    retry_after_s: int | None = None

    def members(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {
            "type": TYPE + self.name,
            "title": self.title,
            "status": self.status,
            # Parts of it may be of the request, in which bytes may stand for letters.
            "detail": _valid(self.detail),
            **self.facts,
        }

    def text(self) -> bytes:
        """As JSON text."""
        try:
            return to_json(self.members(), inf_nan_mode="strings", fallback=repr)
        except (PydanticSerializationError, ValueError):  # facts are whatever a rejection holds
            facts = {name: _valid(repr(fact)) for name, fact in self.facts.items()}
            return to_json({**self.members(), **facts})

    def response(self) -> web.Response:
        """As an answer."""
        headers = {"Content-Type": CONTENT_TYPE, **self.headers}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        return web.Response(status=self.status, body=self.text(), headers=headers)


class RequestRefused(ThornbackError):
    """The gateway itself does not take a request; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem.detail


def refusal(
    status: int,
    name: str,
    title: str,
    detail: str,
    *,
    retry_after_s: int | None = None,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> RequestRefused:
    """What is raised where a request is not taken."""
    return RequestRefused(
        Problem(
            status=status, name=name, title=title, detail=detail, facts=facts,
            retry_after_s=retry_after_s, headers=headers or {},
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    name: str
    title: str
    open: bool = False  #: may a command that ends so still take effect?
    retry_after_s: int | None = None


#: The first that an error is an instance of.
_KINDS: tuple[tuple[type[ThornbackError], _Kind], ...] = (
    (InvalidName, _Kind(400, "invalid-name", "This name cannot be used")),
    (UnknownActorType, _Kind(404, "unknown-actor-type", "No such actor type")),
    (UnknownEvent, _Kind(404, "unknown-event", "No such event")),
    (InvalidQuery, _Kind(400, "invalid-query", "The fleet cannot be asked so")),
    (IndexBehind, _Kind(503, "index-behind", "The index is not as far", retry_after_s=1)),
    (UnknownMessage, _Kind(404, "unknown-message", "The actor does not handle this message")),
    (InvalidMessage, _Kind(422, "invalid-message", "The message does not fit its type")),
    (InvalidData, _Kind(422, "invalid-data", "The log cannot hold this")),
    (RowsRefused, _Kind(422, "rows-refused", "The database cannot hold this")),
    (HandlerBlocked, _Kind(422, "handler-blocked", "The actor took too long at this command")),
    (HandlerFailed, _Kind(422, "handler-failed", "The actor failed at this command")),
    (InvalidState, _Kind(406, "state-without-json", "The state cannot be written as JSON")),
    (Rejected, _Kind(409, "rejected", "The actor rejects the command")),
    (PublishRefused, _Kind(409, "publish-refused", "The event may not be published here")),
    (ActorStopped, _Kind(409, "actor-stopped", "The actor takes no messages")),
    (ActorErased, _Kind(410, "actor-erased", "The actor was erased")),
    (
        ActorRestarting,
        _Kind(503, "actor-restarting", "The actor rests after a failure", retry_after_s=1),
    ),
    (MailboxFull, _Kind(429, "mailbox-full", "Too many commands at once", retry_after_s=1)),
    (AskTimeout, _Kind(504, "no-answer", "No answer in time", open=True)),
    (RetriesExhausted, _Kind(503, "retries-exhausted", "The log moved on", retry_after_s=1)),
    (InvalidActor, _Kind(503, "invalid-actor", "The actor's code cannot run", retry_after_s=30)),
    (
        StoreUnavailable,
        _Kind(503, "store-unavailable", "The database is away", open=True, retry_after_s=2),
    ),
    (
        HostUnavailable,
        _Kind(503, "host-unavailable", "The actor's host is away", open=True, retry_after_s=2),
    ),
    (HostFailed, _Kind(503, "host-failed", "The host failed", open=True, retry_after_s=2)),
    (BusUnavailable, _Kind(503, "bus-unavailable", "The bus is away", retry_after_s=2)),
    (SystemDraining, _Kind(503, "draining", "The system is being stopped", retry_after_s=10)),
    (SystemNotFound, _Kind(503, "system-away", "The system is away", open=True, retry_after_s=10)),
    (ConnectionClosed, _Kind(503, "draining", "The gateway is being stopped", True, 2)),
    (ChannelFailed, _Kind(503, "channel-failed", "The way to the host failed", True, 2)),
)

#: Of these the text would tell of the system's inside.
_SAID: dict[type[ThornbackError], Callable[[Any], str]] = {
    UnknownActorType: lambda error: f"no host knows an actor type {error.actor_type!r}",
    HandlerBlocked: lambda error: (
        f"{error.source} was ended at {error.message_type}, and nothing was stored "
        f"({error.decision}): the log of its host says where. Under its Idempotency-Key it is not "
        "run again"
    ),
    HandlerFailed: lambda error: (
        f"{error.source} failed at {error.message_type}, and nothing was stored "
        f"({error.decision}): the log of its host says why"
    ),
    StoreUnavailable: lambda _: "the event store is not available",
    ConnectionClosed: lambda _: "this gateway is being stopped",
}


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def draining(what: str) -> Exception:
    """Why a gateway that is being drained takes no more of this."""
    return refusal(
        503, "draining", "The system is being stopped",
        f"this gateway takes no {what} any more", retry_after_s=10,
    )  # fmt: skip


def problem_of(error: Exception, *, question: bool = False) -> Problem:
    """What a client is told of an error, of a command or else of a `question`. Never raises."""
    if isinstance(error, RequestRefused):
        return error.problem
    for kind, what in _KINDS:
        if isinstance(error, kind):
            said = _SAID.get(kind)
            detail = said(error) if said is not None else str(error)
            facts: dict[str, Any] = {}
            if isinstance(error, Rejected):
                detail = error.reason
                facts = {"class": error.class_name, "facts": error.facts}
            if what.open:
                detail, facts = f"{detail}. {_then(question)}", _outcome(question)
            return Problem(
                status=what.status, name=what.name, title=what.title, detail=str(detail),
                facts=facts, retry_after_s=what.retry_after_s,
            )  # fmt: skip
    logger.error("a request failed by a fault of the gateway", exc_info=error)
    return Problem(
        status=503, name="gateway-failed", title="The gateway failed", retry_after_s=2,
        detail=f"The log of the gateway says why. {_then(question)}", facts=_outcome(question),
    )  # fmt: skip


def _then(question: bool) -> str:
    return ASK_AGAIN if question else OPEN


def _outcome(question: bool) -> dict[str, Any]:
    return {} if question else {"outcome": "open"}
