"""Mutations of durable subscriptions: what is finished, and who may say so."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "finished as it is handed out",
        "an event is finished before whoever reads it has asked for the next one",
        "runtime.processing.durable_subscription",
        "            self._progress.finish()\n            return False\n        return handed\n",
        "            self._progress.finish()\n            return False\n"
        "        self._progress.finish()\n        return handed\n",
    ),
    mutation(
        "what was fetched is finished",
        "the checkpoint moves to where the feed is, not to where its reader is",
        "runtime.driver.subscription",
        "            self._passed(done)\n",
        "            done.through = getattr(self._inlet._feed, 'position', done.through)\n"
        "            self._passed(done)\n",
    ),
    mutation(
        "a checkpoint is taken for moved",
        "a checkpoint that the store has not taken is not told again",
        "runtime.processing.checkpoint",
        "            try:\n                await self._connection.log.move_checkpoint(",
        "            self._kept = finished\n"
        "            try:\n                await self._connection.log.move_checkpoint(",
    ),
    mutation(
        "nobody is replaced",
        "whoever had a subscription before moves its checkpoint, too",
        "runtime.processing.checkpoint",
        "int.from_bytes(connection.world.random(8)) % 2**62",
        "1",
    ),
    mutation(
        "a receipt without its first",
        "the first event of each move is missing in the receipt",
        "runtime.processing.checkpoint",
        "receipt.plus(ids)",
        "receipt.plus(ids[1:])",
    ),
)
