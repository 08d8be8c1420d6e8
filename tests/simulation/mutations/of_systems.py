"""Mutations of how a system is run: the directory, dedicated hosts."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a start in vain is final",
        "a dedicated host whose start failed is not started again",
        "runtime.cluster.spawning",
        "            starting.add_done_callback(lambda _: self._starting.pop(source, None))\n",
        "",
    ),
    mutation(
        "a node a device",
        "each dedicated host has an entry of its own in vector clocks",
        "runtime.host.host",
        "        if self._source is None:\n            return self.node\n        return f",
        "        if True:\n            return self.node\n        return f",
    ),
    mutation(
        "counts of its own node",
        "a process does not go on from what others of its node have counted",
        "runtime.clocks",
        "            if node == self.node:\n",
        "            if node == self.node:\n                continue\n",
    ),
    mutation(
        "dedicated actors are pooled",
        "a driver sends an actor with a host of its own to a pooled one",
        "runtime.driver.connection",
        '            dedicated = placed == "dedicated"\n',
        "            dedicated = False\n",
    ),
)
