"""Mutations of how a system is run: dedicated hosts, drains, launches, take-overs."""

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
        "runtime.driver.channels",
        '            dedicated = placed == "dedicated"\n',
        "            dedicated = False\n",
    ),
    mutation(
        "handles of before a drain",
        "a driver goes on with the handle of a process that has ended for good",
        "runtime.driver.rejoining",
        "        self._world.forget(name)\n        self._world.forget(DIRECTORY_ACTOR)\n",
        "",
    ),
    mutation(
        "the bus of before a drain",
        "whoever subscribes by the bus of the system before is told that there is none",
        "runtime.partition.log_access",
        "            if not known or self._rejoin is None:\n",
        "            if True:\n",
    ),
    mutation(
        "an epoch of before a drain",
        "a writer takes an epoch that its predecessor of before a drain opened late for the end",
        "runtime.partition.writer",
        "self._commits.open(self.world.holder(self.settings))",
        "self._commits.open(self.world.ray_actor())",
        module="runtime.process.process",
        old=" == self.world.holder(self.settings):",
        new=" == self.world.ray_actor():",
    ),
    mutation(
        "a claim that nobody looks after",
        "a directory whose system has lost its database does not notice",
        "runtime.cluster.claim",
        "                if lost is not None and lost.holder != self._holder:\n",
        "                if False:\n",
    ),
    mutation(
        "a system that goes on",
        "a directory whose system has lost its database says so, and ends nothing",
        "runtime.cluster.directory",
        "        self._life.replaced = replaced\n",
        "        self._life.replaced = replaced\n        return\n",
    ),
    mutation(
        "replaced is away",
        "who is connected to a system that was replaced is told that it is away",
        "runtime.driver.rejoining",
        "    if isinstance(error, SystemReplaced):\n",
        "    if False:\n",
    ),
    mutation(
        "a launch that asks nobody",
        "a launch takes a database whose system lives",
        "runtime.cluster.claim",
        "            free = found.given_up or self._table.has_ended(found)\n",
        "            free = True\n",
    ),
    mutation(
        "subscriptions of a replaced system",
        "a subscription waits for a system that was replaced as for one that is away",
        "runtime.partition.feed",
        "            except SystemReplaced:\n                raise\n",
        "",
    ),
)
