"""The traces by which a launch that is near can tell that another system has ended.

A system that was killed, with its Ray, gives no claim up. Whoever is on the same machine need not
wait until its silence has lasted long enough: the raylet that it ran under is gone, and nobody
answers where its head did. Who is on the same Ray asks that.
"""

import os
from pathlib import Path

import msgspec
import ray

from runtime.process.presence import began_s_of, knock, process_alive
from runtime.settings.settings import Settings
from runtime.topology.names import processes_among

_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: How long whoever listens at the head's address may take to accept a connection.
_KNOCK_S = 2.0


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """Where a system's directory ran."""

    session: str  #: of Ray: its cluster
    head: str  #: where the cluster's head listens
    machine: str  #: this boot of it, and what of it this process can see; empty: not to be told
    raylet: int
    raylet_began_s: float  #: since that machine began


def own_traces() -> Traces:
    """Of this process, which is a Ray actor."""
    raylet = os.getppid()
    context = ray.get_runtime_context()
    return Traces(
        session=context.get_session_name(),
        head=context.gcs_address,
        machine=_machine(),
        raylet=raylet,
        raylet_began_s=began_s_of(raylet),
    )


def have_ended(left: str, settings: Settings, namespace: str) -> bool:
    """Has the system of that namespace, which left these traces, certainly ended? False where
    that cannot be seen from here. `settings` are our own."""
    traces = msgspec.json.decode(left, type=Traces)
    if ray.is_initialized() and ray.get_runtime_context().get_session_name() == traces.session:
        named = ray.util.list_named_actors(all_namespaces=True)
        names = (one["name"] for one in named if one["namespace"] == namespace)
        return not processes_among(names, settings.actor_system.placement)
    if not traces.machine or traces.machine != _machine():
        return False
    raylet = process_alive(traces.raylet, traces.raylet_began_s)
    return raylet is None and not _answers(traces.head)


def _machine() -> str:
    try:
        spaces = [str(Path(f"/proc/self/ns/{space}").readlink()) for space in ("pid", "net")]
        return f"{_BOOT.read_text().strip()} {' '.join(spaces)}"
    except OSError:
        return ""  # no Linux


def _answers(address: str) -> bool:
    try:
        knock(address, _KNOCK_S)
    except ConnectionRefusedError:
        return False
    except OSError:
        return True  # who knows
    return True
