"""Many pieces of work over Ray, so many at a time, and what comes of them in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.errors import ThornbackError

T = TypeVar("T")


def in_parallel(
    work: Callable[..., T], pieces: Iterable[tuple[Any, ...]], *, here: bool = False
) -> Iterator[T]:
    """What `work` returns for the arguments of each piece, in the order of the pieces. As many are
    under way as this Ray has processors, and no more results than that wait to be taken. `here`: on
    this machine alone. Raises what a piece raises; the others are then given up."""
    placed: Any = "SPREAD"
    if here:
        placed = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Without a processor of its own: a host asks for none either, and a Ray may have none left.
    task = ray.remote(num_cpus=0, scheduling_strategy=placed)(work)
    at_once = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    waiting: deque[Any] = deque()
    try:
        for piece in pieces:
            waiting.append(task.remote(*piece))
            if len(waiting) >= at_once:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, ThornbackError | OSError):
            raise error.cause from None
        raise
