"""Mutations of stream programs: what is committed together, and who may say how far it is."""

from tests.simulation.mutations.patching import Mutation, mutation

_RUN = "runtime.processing.program_run"
_EVALUATION = "runtime.processing.evaluation"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "outputs before their checkpoint",
        "the checkpoint of a batch is committed with the next one",
        _RUN,
        "                position=lane.position,\n                receipt=receipt,",
        "                position=self._told_position,\n                receipt=receipt,",
    ),
    mutation(
        "keys are forgotten too soon",
        "a key is read again from the store before what was made of it is there",
        "runtime.processing.key_table",
        " if key.touched <= committed]",
        "]",
    ),
    mutation(
        "time begins anew",
        "the watermark is not kept with the checkpoint",
        _RUN,
        "                watermark_us=lane.watermark_us,\n",
        "",
    ),
    mutation(
        "what was due is forgotten",
        "a worker that begins looks for no key that is to be looked at again",
        _RUN,
        "        if not self.program.keeps_state:\n            return\n        of_slot",
        "        if not self.program.keeps_state or lanes:\n            return\n        of_slot",
    ),
    mutation(
        "slots that lag are taken along",
        "slots of several checkpoints go on from the furthest one",
        _RUN,
        "        while lane.position < position:\n            limit",
        "        lane.position = position\n        while lane.position < position:\n"
        "            limit",
    ),
    mutation(
        "a page is finished first",
        "the checkpoint moves to the end of a page before its last events are looked at",
        _RUN,
        "        events = self._seen(page)\n        at = 0\n",
        "        events = self._seen(page)\n        lane.position, at = page.through, 0\n",
    ),
    mutation(
        "what is left due is forgotten",
        "who begins does not look at keys that were due by the last event",
        _RUN,
        "        if not lane.first_due(1):\n            return\n",
        "        if lane.first_due(0) == []:\n            return\n",
    ),
    mutation(
        "causes unseen",
        "an output's clock does not know what it came of",
        _RUN,
        "        self._clock.observe_all(decoded.clocks)\n",
        "",
    ),
    mutation(
        "the receipt of all",
        "a worker counts what is finished in the slots of others",
        _EVALUATION,
        "            slot = slot_of_event(event)\n            if slot in slots:\n",
        "            slot = min(slots)\n            if slot in slots:\n",
    ),
    mutation(
        "who is everybody's",
        "every worker takes the keys of all slots",
        _EVALUATION,
        " for key, item in routed if _slot_of_key(key) in slots]\n",
        " for key, item in routed]\n",
    ),
    mutation(
        "letters are not part of it",
        "what is parked is not in the append of its checkpoint",
        _RUN,
        "        letters = merged(effects.letters)\n",
        "        letters = merged([])\n",
    ),
    mutation(
        "who begins forgets what is parked",
        "a worker that begins does not look for what is parked",
        _RUN,
        "            await self._parked.load(store, frozenset(self._slots))\n".removeprefix("    "),
        "",
    ),
    mutation(
        "what is replayed stays",
        "a letter that was replayed is not paid in that append",
        "runtime.processing.replaying",
        "        effects.letters += [_change(letter, mine, gone=True) for letter, _ in waiting]\n",
        "",
    ),
    mutation(
        "a cut replay is forgotten",
        "what is left of a replay has no reason, and nobody who begins looks for it",
        "runtime.processing.replaying",
        "failure or Failure(NEXT)",
        "failure",
    ),
    mutation(
        "one pays for all",
        "a slot that has replayed an event of a source pays for the slots of others",
        "runtime.processing.replaying",
        "        slots=letter.slots & slots,\n",
        "        slots=letter.slots,\n",
    ),
    mutation(
        "an append is sent and forgotten",
        "what an append is refused with is not heard",
        _RUN,
        "            sending.result()\n",
        "",
    ),
    mutation(
        "rows before their checkpoint",
        "what a projection has made of a batch is committed without its checkpoint",
        _RUN,
        "self._store.project(self._table, moves, changed, letters)",
        "self._store.project(self._table, [] if changed else moves, changed, letters)",
    ),
    mutation(
        "rows are not read again",
        "a worker that begins takes a row that the table has for none",
        "runtime.processing.projected_rows",
        "        found = await self._store.load_projected(self._table, keys)\n",
        "        found = await self._store.load_projected(self._table, keys[:0])\n",
    ),
    mutation(
        "an actor is indexed from its beginning",
        "the state that is kept in an index is not gone on with",
        "streams.actor_index",
        "            actor.state = self._kind.states.read(text)\n",
        "            self._kind.states.read(text)\n",
    ),
    mutation(
        "what is late is lost",
        "a stretch that was read again does not grow with what arrives",
        "runtime.processing.stretches",
        "and position > block.through:",
        "and position > block.through + 10**9:",
    ),
)
