"""Mutations of what becomes of handlers that block."""

from tests.simulation.mutations.patching import Mutation, mutation

_BLOCKED = "runtime.host.blocked"
_AT_HAND = "runtime.host.at_hand"
_WATCH = "runtime.host.handler_watch"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "what blocks is run again",
        "a command that is known to block is run with the others of its batch all the same",
        "runtime.host.decision",
        "or (blocked and command_id in blocked and work.blocked.command(command))",
        "or False",
    ),
    mutation(
        "nobody remembers who blocked",
        "what has blocked is not kept for the next incarnation",
        _BLOCKED,
        "            self._notes.keep(msgspec.msgpack.encode(kept))\n",
        "            pass\n",
    ),
    mutation(
        "nobody notes what is at hand",
        "a host that was started anew does not note what it has at hand",
        _AT_HAND,
        "        self.note = self._note\n",
        "        pass\n",
    ),
    mutation(
        "what the switch has ended is forgotten",
        "what was at hand when the dead man's switch ended a process is run once more",
        _AT_HAND,
        "        if said:\n            failure =",
        "        if False:\n            failure =",
    ),
    mutation(
        "nobody is interrupted",
        "a handler that blocks is not interrupted, and costs its process",
        _WATCH,
        "            self._work.interrupt(at, self._because)  # again, where it has caught that\n",
        "",
    ),
    mutation(
        "nobody ends who is deaf",
        "a process whose handler cannot be interrupted does not end",
        _WATCH,
        "        self._world.end()\n\n",
        "\n",
    ),
)
