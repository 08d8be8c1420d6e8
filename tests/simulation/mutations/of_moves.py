"""Mutations of how shards move: who decides, what is under way, and what a driver makes of it."""

from tests.simulation.mutations.patching import mutation

MUTATIONS = (
    mutation(
        "the old host goes on",
        "a host that has given shards away does not learn the table by which it has",
        "runtime.host.shards",
        "        self._learn(moved.table)\n",
        "",
    ),
    mutation(
        "any version is right",
        "whoever found a host by an old table is trusted to have found it rightly",
        "runtime.host.shards",
        "self._since <= version <= self._table.version",
        "version <= self._table.version",
    ),
    mutation(
        "under way at a move",
        "a host gives shards away without waiting for what it has under way",
        "runtime.host.shards",
        "                await line.wait_settled()\n",
        "",
    ),
    mutation(
        "nobody reads the table",
        "a host that was given shards does not find out, though a driver knows",
        "runtime.host.shards",
        "batch.request.shards > self._table.version",
        "False",
    ),
    mutation(
        "the epoch outlives a move",
        "a move leaves its host the epoch that it had",
        "store.memory",
        "replace(present, number=epoch.number + 1, attempt=attempt)",
        "replace(present, attempt=attempt)",
    ),
    mutation(
        "moved and lost",
        "what was turned away does not go to where its actors live",
        "runtime.driver.channels",
        "in held.divide(self._host_of, table.version):\n"
        "                self._channel(where).take_over(part)\n",
        "in held.divide(self._host_of, table.version):\n                self._channel(where)\n",
    ),
    mutation(
        "nobody is held",
        "a table is adopted while commands are under way by the old one",
        "runtime.driver.channels",
        "        await asyncio.gather(*(channel.hold() for channel in losing))\n",
        "        for channel in losing:\n            channel._held = True\n",
    ),
    mutation(
        "a host without a table",
        "a host that cannot read its table as it begins ends the way to it",
        "runtime.driver.channels",
        "            except (HostUnavailable, StoreUnavailable) as error:\n                logger",
        "            except HostUnavailable as error:\n                logger",
    ),
    mutation(
        "parts in their own order",
        "the answers to the parts of a batch are put together as they come",
        "runtime.driver.dividing",
        "        for number, index in enumerate(indexes):\n",
        "        for number, index in enumerate(range(len(indexes))):\n",
    ),
    mutation(
        "nobody looks elsewhere",
        "a driver whose host has ended for good does not ask others who has its actors",
        "runtime.driver.channel",
        "                    await self._table.look_elsewhere(self.host)\n",
        "                    pass\n",
    ),
    mutation(
        "added and unknown",
        "hosts take no note in their clocks of a host that is added to the system",
        "runtime.topology.names",
        "max(hosts, MOST_HOSTS)",
        "hosts",
    ),
    mutation(
        "promoted and unknown",
        "hosts take no note in their clocks of what promoted hosts have decided",
        "runtime.topology.names",
        "(*pooled, *types, PROMOTED_NODE, WORKERS_NODE)",
        "(*pooled, *types, WORKERS_NODE)",
    ),
)
