"""Mutations of the writer, the bus and feeds."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "doubt is settled by one id",
        "after a lost connection the first event's id alone says that the commit in hand happened",
        "store.attempts",
        "        happened = self._doubtful.get(present.attempt)\n"
        "        if happened is None or happened.last != present.counter:\n"
        "            raise StaleEpoch(WRITER, self._epoch)\n"
        "        self._happened(happened)\n"
        "        return True\n",
        "        happened = self._doubtful[max(self._doubtful)]\n"
        "        if not await self._store.find_ids([bytes(happened.rows.data[6:22])]):\n"
        "            self._doubtful.clear()\n"
        "            self._position = present.counter\n"
        "            return False\n"
        "        self._happened(happened)\n"
        "        self._position = present.counter\n"
        "        return True\n",
    ),
    mutation(
        "acknowledged before the commit",
        "appends are acknowledged when the commit is sent",
        "store.attempts",
        "        try:\n            await self._append(attempt)\n",
        "        try:\n"
        "            for number, part in enumerate(attempt.parts):\n"
        "                part.acknowledge(\n"
        "                    Acknowledged(\n"
        "                        first_position=attempt.first\n"
        "                        + sum(len(one.append.rows) for one in attempt.parts[:number]),\n"
        "                        recorded_us=attempt.recorded_us,\n"
        "                    )\n"
        "                )\n"
        "            await self._append(attempt)\n",
    ),
    mutation(
        "never in doubt",
        "a commit whose answer was lost is forgotten and tried as a new one",
        "store.attempts",
        "        if self._doubtful and await self.find():\n            return\n"
        "        again = attempt.number in self._doubtful\n",
        "        self._doubtful.clear()\n        again = attempt.number in self._doubtful\n",
    ),
    mutation(
        "commits in doubt are not published",
        "a commit that turns out to have happened is kept from the bus",
        "store.attempts",
        "        self._happened(happened)\n        return True\n",
        "        publish, self._publish = self._publish, lambda _: None\n"
        "        self._happened(happened)\n"
        "        self._publish = publish\n"
        "        return True\n",
    ),
    mutation(
        "followers of a refused append",
        "what follows a refused append of its node is committed",
        "store.group_commit",
        "            if self._sequencer.stands(waiting.append.node, waiting.stand):\n",
        "            if True:\n",
    ),
    mutation(
        "a gap in the buffer",
        "the bus keeps what it had when commits were missed",
        "runtime.partition.buffer",
        "            self._forget(len(self._kept))\n",
        "            pass\n",
    ),
    mutation(
        "behind the buffer",
        "a feed takes for covered what the bus's buffer does not reach back to",
        "runtime.partition.feed",
        "        if polled.covered:\n",
        "        if True:\n",
    ),
    mutation(
        "a reader who gives up",
        "who gives up waiting for a page takes it along",
        "runtime.driver.subscription",
        "                    await asyncio.wrap_future(waiter)\n                finally:\n",
        "                    await asyncio.wrap_future(waiter)\n                finally:\n"
        "                    if waiter in self._inlet._waiting:\n"
        "                        self._taken_along = True\n",
        "            if (page := self._page) is None:\n                return waiter\n",
        "            if self._page is not None and getattr(self, '_taken_along', False):\n"
        "                self._taken_along, self._page = False, None\n"
        "            if (page := self._page) is None:\n                return waiter\n",
    ),
    mutation(
        "bursts for a bus that is away",
        "commits that the bus did not take are dropped",
        "runtime.partition.writer",
        "        self._unpublished.append(commit)\n        if len",
        "        if not self._unpublished:\n"
        "            self._unpublished.append(commit)\n"
        "        if len",
    ),
    mutation(
        "a process waits to be called",
        "one that Ray has restarted comes to life with its first call",
        "runtime.process.process",
        "        if self.world.restarted():\n            self._reviving",
        "        self._allowed.set()\n        if False:\n            self._reviving",
    ),
    mutation(
        "nobody waits for a rest",
        "a process that is to rest refuses all calls at once, however short its rest is",
        "runtime.process.process",
        "            if self._rest_left_s() > self._patience_s:\n",
        "            if True:\n",
    ),
    mutation(
        "fenced off for good",
        "a process that its late predecessor has fenced off is done, and nothing starts it anew",
        "runtime.process.process",
        "            raise stale\n",
        "            return\n",
    ),
    mutation(
        "a bus that has to be told",
        "a bus does not look for what was handed to another incarnation of it",
        "runtime.partition.bus",
        "            if head > self._buffer.head:\n",
        "            if False:\n",
    ),
    mutation(
        "nobody looks for what is late",
        "a commit in doubt is looked for with the next append, and not before",
        "store.group_commit",
        "        while self._attempts.in_doubt:\n            try:\n",
        "        while False:\n            try:\n",
    ),
)
