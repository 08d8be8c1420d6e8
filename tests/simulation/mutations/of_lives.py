"""Mutations of supervision: who is stopped, who is started, and with which state."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a stop is forgotten at a host's death",
        "an actor that failed is stopped in the memory of its host alone",
        "runtime.host.supervision",
        "        attempt.tell(resident, event, command)\n",
        "",
    ),
    mutation(
        "a start is lost",
        "whoever folds the log of an actor that was started takes it for stopped",
        "runtime.host.resident",
        "    elif event_type == _STARTED:\n",
        "    elif False:\n",
    ),
    mutation(
        "the half-applied state goes on",
        "an actor that is started goes on with the state in which it failed",
        "runtime.host.lifecycle",
        '        resident.stopped, resident.erased = "", False\n'
        "        attempt.rebuild.add(resident.source)\n",
        '        resident.stopped, resident.ready = "", True\n',
    ),
    mutation(
        "a stopped actor's source is anybody's",
        "events are published under a stopped actor's source where no host knows its class",
        "runtime.host.publishing",
        "    if resident.type is not None or resident.stopped:\n",
        "    if resident.type is not None:\n",
    ),
)
