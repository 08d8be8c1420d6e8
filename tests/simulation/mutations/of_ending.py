"""Mutations of what becomes of hosts that end too often, and of shards that are hot."""

from tests.simulation.mutations.patching import Mutation, mutation

_SUPERVISION = "runtime.cluster.process_supervision"
_STOPPING = "runtime.cluster.host_stopping"
_PROMOTION = "runtime.cluster.promotion"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "nobody stops who ends too often",
        "a host beyond its limit is said to be stopped, and is not",
        _SUPERVISION,
        "            self._stop(Stop(name, why))\n",
        "",
    ),
    mutation(
        "stopped with its shards",
        "a host that is stopped keeps its shards",
        "runtime.cluster.sharding",
        "                    table = await self._taken(table, name, others)\n",
        "                    pass\n",
    ),
    mutation(
        "stopped at the first end",
        "a host is stopped as soon as it has ended once",
        _SUPERVISION,
        "        if not verdict.exhausted and not (name in self._beyond and in_a_row):\n",
        "        if False:\n",
    ),
    mutation(
        "nobody is told of a stop",
        "the log is not told that a host was stopped",
        _STOPPING,
        "        await self._told(stop.host, event)\n",
        "",
    ),
    mutation(
        "told once or never",
        "the log is told of a stop in vain where whoever that goes to is away for a moment",
        _STOPPING,
        "                await asyncio.sleep(self.AGAIN_S)\n            else:\n",
        "                return\n            else:\n",
    ),
    mutation(
        "hot for ever",
        "what has cooled down stays promoted",
        _PROMOTION,
        "        for shard in down:\n",
        "        for shard in []:\n",
    ),
    mutation(
        "what is left over stays",
        "a promoted host whose shard has gone is not ended",
        _PROMOTION,
        "        for name in self._heat.left_over(table, there):",
        "        for name in []:",
    ),
)
