"""Actors: state plus handlers.

`@handles` methods take a message and yield payloads (decide); `@applies` methods fold
a payload into the state (evolve). The state changes only after a handler has finished,
so a handler that fails or rejects half-way leaves no trace. This is the decider of
Chassaing's "Functional Event Sourcing Decider", spelled as a class.
"""

from collections.abc import Callable
from datetime import datetime
from inspect import isfunction
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from actors.actor_type import ActorType as ActorType
from actors.command import Command as Command
from actors.errors import InvalidActor
from actors.event import Payload
from actors.moments import moment_of
from actors.naming import check_not_ours, checked_type_name, kebab_case
from actors.packed_timers import PackedTimers
from actors.supervision import SHORTEST_S, Supervision, is_time_limit

S = TypeVar("S")
Method = TypeVar("Method", bound=Callable[..., Any])

#: What a mark is given that is called without anything, which its type does not allow.
_NONE: Any = object()


def handles(method: Method = _NONE) -> Method:
    """Mark a method as the handler of the command its first argument is annotated with.
    Raises TypeError for what is no method."""
    _check_method("handles", method)
    method.__thornback__ = "handles"  # type: ignore[attr-defined]
    return method


def applies(method: Method = _NONE) -> Method:
    """Mark a method as what folds the payload its first argument is annotated with. Raises
    TypeError for what is no method."""
    _check_method("applies", method)
    method.__thornback__ = "applies"  # type: ignore[attr-defined]
    return method


def _check_method(mark: str, method: Any) -> None:
    if method is _NONE:
        raise TypeError(f"@{mark} stands alone above a method: @{mark}, without parentheses")
    if isinstance(method, type) or not isfunction(method):
        wrong = method.__name__ if isinstance(method, type) else f"{method!r:.80}"
        raise TypeError(
            f"@{mark} stands alone above a plain method, whose message is annotated: not "
            f"@{mark}({wrong})"
        )


class Actor(Generic[S]):
    """State of type S plus handlers. One instance lives in one host at a time.

    `actor_type` is a stable kebab-case name, by default the class name. `state_type` is
    read from `Actor[S]`; it is constructed without arguments, and is anything pydantic
    can validate: mostly a dataclass, or a pydantic model. `snapshot_format` is to be raised
    when old snapshots no longer mean the same; they are then ignored and the log is folded.

    Every event of the actor has an applier, or stands in `ignores` (as its class, or as its
    type where that class is gone): the state does not depend on it. `replaces` names classes
    that this one takes the place of under its actor type, as "package.module.Class": a class
    that was moved or renamed. `indexes` names fields of the state by which actors of the type can
    be found (`system.find`). `supervision` says what becomes of one that fails; without it the
    system's settings do. `time_limit_s` says how long any code of an actor may take at a time,
    instead of the setting `actor_system.actor_timeout_ms`: what takes longer has failed.

    The hooks `on_start`, `on_stop` and `on_failure` run in the host, between commands: they may
    look at the state, and neither wait nor change it. What one raises is logged and harms nobody
    but, of `on_start`, the actor itself (docs/howto/supervision.md).
    """

    __slots__ = ("_pending_timers", "at_us", "name", "state")

    actor_type: ClassVar[str]
    state_type: ClassVar[type]
    snapshot_format: ClassVar[int] = 1
    ignores: ClassVar[tuple[type[Payload] | str, ...]] = ()
    indexes: ClassVar[tuple[str, ...]] = ()
    replaces: ClassVar[tuple[str, ...]] = ()
    supervision: ClassVar[Supervision | None] = None
    time_limit_s: ClassVar[float | None] = None

    name: str  #: the device's name: the source without its actor type
    at_us: int  #: when the message in hand happened, Unix microseconds (moments.py)
    state: S
    _pending_timers: PackedTimers | None  # of whoever hosts it

    def __init__(self, name: str = "") -> None:
        if not name:
            made = type(self).__name__
            problem = f"a host makes its actors: pass the class, system.actor({made}, name)"
            raise InvalidActor(made, problem)
        self.name = name
        self.at_us = 0
        self._pending_timers = None
        self.state = self.state_type()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "actor_type" not in cls.__dict__:
            cls.actor_type = kebab_case(cls.__name__)
        check_not_ours(checked_type_name(cls.actor_type))
        said: Any = cls.supervision
        if not isinstance(said, Supervision | None):
            problem = f"supervision is a Supervision(...), not {said!r:.80}"
            raise InvalidActor(cls.actor_type, problem)
        if not is_time_limit(cls.time_limit_s):
            problem = (
                f"time_limit_s is seconds, at least {SHORTEST_S}, not {cls.time_limit_s!r:.80}"
            )
            raise InvalidActor(cls.actor_type, problem)
        for base in cls.__dict__.get("__orig_bases__", ()):  # a base class has its own already
            if get_origin(base) is Actor and not isinstance(get_args(base)[0], TypeVar):
                cls.state_type = get_args(base)[0]

    def on_start(self) -> None:
        """It has come into memory, with the state that the log has, and decides from now on."""

    def on_stop(self) -> None:
        """It was stopped, and the log says so."""

    def on_failure(self, error: BaseException) -> None:
        """A command of it has failed with this error; the state may have an event applied half."""

    @classmethod
    def described(cls) -> ActorType:
        """This class's ActorType, made once. Raises InvalidActor."""
        known = cls.__dict__.get("_described")
        if known is None:
            if not hasattr(cls, "state_type"):
                raise InvalidActor(cls.actor_type, "say its state type: class X(Actor[XState])")
            known = ActorType(cls)
            cls._described = known  # type: ignore[attr-defined]
        return known

    @classmethod
    def class_name(cls) -> str:
        """The class's full name, by which the log knows who decides its actor type."""
        return f"{cls.__dict__.get('_module', cls.__module__)}.{cls.__qualname__}"

    @property
    def now(self) -> datetime:
        """When the message in hand happened (aware). Actors read no clock."""
        return moment_of(self.at_us)

    @property
    def source(self) -> str:
        """This actor's name in the log."""
        return f"{self.actor_type}/{self.name}"


def described(actor: Any) -> ActorType:
    """What an actor class says of itself. Raises InvalidActor, also for what is no such class."""
    if isinstance(actor, type) and issubclass(actor, Actor) and actor is not Actor:
        return actor.described()
    if isinstance(actor, Actor):
        made = type(actor).__name__
        raise InvalidActor(made, f"pass the class {made}, not an actor of it")
    name = getattr(actor, "__name__", None) or f"{actor!r:.80}"
    raise InvalidActor(name, "it is no actor class: derive it from Actor[State]")
