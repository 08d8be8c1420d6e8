"""A driver's way to the directory: how to find it, and how to wait while it restarts."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayTaskError

from runtime.errors import AnotherRelease, LaunchFailed, SystemNotFound
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.release import RELEASE
from runtime.topology.status import Topology
from runtime.transport.ray_stay import InNoRay, asking_ray, stay_now

#: The settings that concern a driver alone; all others are the system's.
_OF_DRIVERS = (
    ("actor_system", "actor_timeout_ms"),
    ("event_store", "connection_pool_size"),
    ("transport", "certificate"),
    ("transport", "key"),
    ("transport", "ca"),
)
#: Between two tries: Ray does not say when a process that restarts is back.
_PAUSE_S = 0.1
#: How much longer than the directory itself a caller waits for its answer.
_GRACE_S = 15.0
#: How much longer Ray's head may take to say where the directory is.
_HEAD_S = 5.0
#: Between two looks at how far something has come.
_LOOK_S = 0.25


def directory_of(namespace: str) -> Any:
    """The directory of a namespace. Raises SystemNotFound."""
    try:
        return ray.get_actor(DIRECTORY_ACTOR, namespace=namespace)
    except ValueError as error:
        raise _not_found(namespace) from error


def namespaces_there() -> list[str]:
    """The namespaces of the systems on this process's Ray."""
    named = ray.util.list_named_actors(all_namespaces=True)
    return sorted({one["namespace"] for one in named if one["name"] == DIRECTORY_ACTOR})


def namespaces_of_processes() -> list[str]:
    """The namespaces in which this process's Ray has anything, also without a directory."""
    return sorted({one["namespace"] for one in ray.util.list_named_actors(all_namespaces=True)})


def _not_found(namespace: str) -> SystemNotFound:
    """Says which Ray was asked, and in which namespaces it has systems: where there are some,
    the name may be the mistake."""
    there = f"the Ray at {ray.get_runtime_context().gcs_address} has"
    others = [each for each in namespaces_there() if each != namespace]
    if not others:
        return SystemNotFound(namespace, f"{there} no system at all")
    return SystemNotFound(
        namespace,
        f"{there} systems in {', '.join(map(repr, others))}",
        "to mean one of those, name it (actor_system.namespace); to start one here, "
        "`thornback launch`",
    )


def join(namespace: str, timeout_s: float) -> Topology:
    """The topology of a running system. Waits while it is just being started, for about
    `timeout_s`; in the Ray of a project no longer than that lasts. Raises SystemNotFound,
    SystemDraining, AnotherRelease or LaunchFailed."""
    stay = stay_now()
    if stay is None:  # perhaps in a task of Ray's own, whose thread has locks that this takes again
        return _topology(namespace, timeout_s)
    done: Future[Topology] = Future()
    # In a thread of its own: some questions to Ray's head have no bound, and one that has ended
    # answers none.
    joining = partial(_join, namespace, timeout_s, done)
    threading.Thread(target=joining, name="thornback-join", daemon=True).start()
    with stay.telling(partial(_fail, done)):
        try:
            return done.result(timeout_s + _GRACE_S + _HEAD_S)
        except TimeoutError as error:
            raise SystemNotFound(namespace, "Ray's head does not answer", "try again") from error
        except InNoRay as error:
            raise SystemNotFound(namespace, str(error), "") from error


def _join(namespace: str, timeout_s: float, done: "Future[Topology]") -> None:
    try:
        with asking_ray():
            topology = _topology(namespace, timeout_s)
        with suppress(InvalidStateError):
            done.set_result(topology)
    except BaseException as error:  # for whoever waits, whatever it is
        _fail(done, error)


def _fail(done: "Future[Topology]", error: BaseException) -> None:
    with suppress(InvalidStateError):  # whoever waits has heard something else
        done.set_exception(error)


def _topology(namespace: str, timeout_s: float) -> Topology:
    directory = directory_of(namespace)
    try:
        topology: Topology = answer(directory, "join", timeout_s, RELEASE)
    except ActorDiedError as error:
        raise _not_found(namespace) from error
    return topology


def for_driver(topology: Topology, own: Settings) -> Topology:
    """The topology with what a driver's own settings say of the driver, where they do."""
    settings = json.loads(topology.settings_json)
    for section, key in _OF_DRIVERS:
        if key in (said := getattr(own, section)).model_fields_set:
            settings[section][key] = getattr(said, key)
    return replace(topology, settings_json=json.dumps(settings))


class Patience:
    """How long something is waited for. It is longer by the time that did not count."""

    def __init__(self, timeout_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._looked_s = now_s()
        self._until_s = self._looked_s + timeout_s

    @property
    def left_s(self) -> float:
        """So much is left; less than nothing where it is over."""
        return self._until_s - self._now_s()

    def look(self, *, counts: bool) -> None:
        """Did the time since the last look count?"""
        now_s = self._now_s()
        if not counts:
            self._until_s += now_s - self._looked_s
        self._looked_s = now_s


#: Looks how far something has come: does the time that it takes count?
Look = Callable[[], bool]


def answer(
    directory: Any,
    method: str,
    patience: float | Patience,
    *arguments: Any,
    look: Look | None = None,
) -> Any:
    """What a method of the directory answers, which takes its time limit before its
    `arguments`.

    While the directory is being restarted it is asked again: only for what may happen
    twice. `look` is called every quarter of a second meanwhile. Raises what the method
    raised, LaunchFailed when no answer comes, ActorDiedError when it has ended for good, and
    AnotherRelease where the directory takes no such call.
    """
    patience = Patience(patience) if isinstance(patience, float | int) else patience
    while True:
        left_s = patience.left_s
        reference = called(directory, method, max(left_s, 0.0), *arguments)
        try:
            return _get(reference, patience, look)
        except RayTaskError as error:
            check_understood(error, method)
            raise error.cause from error
        except ActorUnavailableError as error:
            if left_s <= 0:
                raise LaunchFailed("the directory is away and does not come back") from error
            time.sleep(_PAUSE_S)
        except GetTimeoutError as error:
            raise LaunchFailed(f"the directory does not answer within {left_s:.0f} s") from error


def called(directory: Any, method: str, *arguments: Any) -> Any:
    """Ray's reference for a call of the directory. Raises AnotherRelease where Ray knows that the
    directory has no such method, or not with these arguments; where it does not know that, the
    directory says it (`check_understood`)."""
    try:
        return getattr(directory, method).remote(*arguments)
    except (AttributeError, TypeError) as error:
        raise AnotherRelease("", RELEASE) from error


def check_understood(error: RayTaskError, method: str) -> None:
    """Raises AnotherRelease where a directory has answered that this is not how its method is
    called. A TypeError of the method's own says nothing of its name."""
    if isinstance(error.cause, TypeError) and f".{method}() " in str(error.cause):
        raise AnotherRelease("", RELEASE) from error


def _get(reference: Any, patience: Patience, look: Look | None) -> Any:
    while look is not None and patience.left_s > -_GRACE_S:
        done, _ = ray.wait([reference], timeout=_LOOK_S)
        if done:
            break
        patience.look(counts=look())
    return ray.get(reference, timeout=max(patience.left_s + _GRACE_S, 0.0))
