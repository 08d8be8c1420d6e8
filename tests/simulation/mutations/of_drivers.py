"""Mutations of drivers: channels, deadlines, bulk calls."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "progress raises",
        "a bulk call whose progress has raised waits for ever",
        "runtime.driver.bulk_steps",
        "            if call.idle:\n                break\n",
        "            if call.idle and failure is None:\n                break\n",
    ),
    mutation(
        "said not to be sent",
        "a bulk call that is left sends what it says it does not",
        "runtime.driver.bulk",
        "        self._stalled, self._filling = {}, {}\n        self._left = True\n",
        "        self.send_all()\n        self._left = True\n",
    ),
    mutation(
        "sent again as it failed",
        "what is sent again is in the order in which it failed",
        "runtime.driver.channel",
        "        waiting = [one for _, one in sorted(self._again, key=lambda each: each[0])]\n",
        "        waiting = [one for _, one in self._again]\n",
    ),
    mutation(
        "sent again behind the others",
        "what is sent again stands behind what came meanwhile",
        "runtime.driver.outbox",
        "self._queue.extendleft(reversed([one for one in batches if not one.finished]))\n",
        "self._queue.extend([one for one in batches if not one.finished])\n",
    ),
    mutation(
        "answers' clocks are ignored",
        "a driver does not merge the clocks of its answers",
        "runtime.driver.channel",
        "                self._clock.observe(answer.clock)\n",
        "",
    ),
    mutation(
        "events' clocks are ignored",
        "a driver does not merge the clocks of what its subscriptions hand out",
        "runtime.driver.subscription",
        "            self._clock.observe_events((event.clock_counts,))\n",
        "",
    ),
    mutation(
        "dropped subscriptions stay",
        "a subscription that nobody holds any more keeps its feed",
        "runtime.driver.inlet",
        "            self.close()\n",
        "",
    ),
    mutation(
        "no deadline",
        "nothing ends a batch that is never answered",
        "runtime.driver.outbox",
        "        self._deadlines.watch(outgoing, until_s)\n",
        "",
    ),
    mutation(
        "closing strands",
        "what is unanswered when its connection is closed is left so",
        "runtime.driver.outbox",
        "        for outgoing in unanswered:\n            outgoing.finish(None, error)\n",
        "",
    ),
    mutation(
        "the old generation goes on",
        "after a failure the unanswered is sent again in the same generation",
        "runtime.driver.channel",
        "        self._generation, self._sequence = generation, int(begun)\n",
        "        self._generation, self._sequence = generation, 0\n        self._generation -= 1\n",
    ),
)
