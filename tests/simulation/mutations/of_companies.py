"""Mutations of handlers that run together: who is first, and who is kept from what."""

from tests.simulation.mutations.patching import Mutation, mutation

_COMPANY = "runtime.processing.company"
_COMPANION = "runtime.processing.companion"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "the lower one first",
        "an event comes to the handler with the lower priority first",
        "streams.handlers",
        "    return -handler.priority, handler.name\n",
        "    return handler.priority, handler.name\n",
    ),
    mutation(
        "one that fails holds up all",
        "the company stands where one of its handlers fails",
        _COMPANY,
        "            if failed is not None:\n                del lane.companions[companion]\n",
        "            if failed is not None:\n                raise failed\n",
    ),
    mutation(
        "who fails is taken along",
        "a handler that leaves has the checkpoint of those that have got past its event",
        _COMPANY,
        "                lane.leaving[companion] = own, failed\n",
        "                own.position = max(own.position, through)\n"
        "                lane.leaving[companion] = own, failed\n",
    ),
    mutation(
        "who comes up late has seen it all",
        "a handler that is let in has not had the events that the others have had meanwhile",
        _COMPANION,
        "        await self._align(self._lane, position)\n",
        "        self._lane.position = position\n",
    ),
    mutation(
        "who leaves does so too soon",
        "a handler leaves before what it has made together with the others is committed",
        _COMPANY,
        "            await self._commit(lane)\n            leaving, lane.leaving",
        "            leaving, lane.leaving",
    ),
    mutation(
        "one checkpoint for all",
        "with what all handlers have made, one of them moves its checkpoint",
        _COMPANY,
        "for companion, own in theirs.items() for move in companion.sent(own)]",
        "for companion, own in list(theirs.items())[:1] for move in companion.sent(own)]",
    ),
    mutation(
        "evaluated is as good as committed",
        "a handler that comes up commits what the others have evaluated, and nobody has committed",
        _COMPANY,
        "        return self._committed\n",
        "        return self._lane.position\n",
        "                await self._commit(lane)  # before what this one makes of it\n",
        "                pass\n",
    ),
    mutation(
        "who is apart goes ahead",
        "slots of a handler that is apart are brought up before the others have come there",
        _COMPANION,
        "            front = await self._meeting.passed(lane.position)\n",
        "            front = position\n",
    ),
    mutation(
        "slots by themselves",
        "slots of a handler that lag are brought up by themselves, not with those of the others",
        _COMPANY,
        "            if own[0].position < furthest - self.ABREAST:\n",
        "            if own[0].position < furthest:\n",
    ),
)
