"""Mutations of groups: who has which slot, from when on, and from where."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a slot is given up with an event in hand",
        "a member that leaves a slot does not wait until what is in hand of it is finished",
        "runtime.processing.share",
        "                if slot.deal > deal or number not in in_hand\n",
        "                if slot.deal > deal or number is not None or number not in in_hand\n",
    ),
    mutation(
        "a slot begins where the others are",
        "reading does not begin anew for slots that lag",
        "runtime.processing.membership",
        "self._go_on(self._inlet, self.share.start(0))",
        "self._go_on(self._inlet, max((each.handed for each in self.share._all()), default=0))",
    ),
    mutation(
        "an older deal is taken for the new one",
        "what was read before a slot came says that all of it was handed out",
        "runtime.processing.share",
        "                if slot.deal <= deal:\n                    slot.position = max(",
        "                if slot.deal:\n                    slot.position = max(",
    ),
    mutation(
        "who could not look judges",
        "a member that saw nothing itself takes the others for silent",
        "runtime.processing.silence",
        "        self._looked_s = None\n        self._heard.clear()\n",
        "",
        "min(now_s - since_s, self.COUNTED * self._look_s)",
        "now_s - since_s",
    ),
    mutation(
        "nobody is ever out",
        "a member that died keeps its share",
        "runtime.processing.silence",
        "if silent_s >= self._out_s}",
        "if silent_s >= 1_000_000 * self._out_s}",
    ),
    mutation(
        "a slot is taken from whoever has it",
        "a member takes the slots that it is to have, before they are given up",
        "runtime.processing.membership",
        "            free = {slot for slot in mine if owners[slot] not in members}\n",
        "            free = set(mine)\n",
    ),
    mutation(
        "a refusal is not heard",
        "a member whose slot another one has goes on with it, and says that all is kept",
        "runtime.processing.membership",
        "            await self._hear({slot: move for slot, move in moves.items() if "
        "move.name in refused})\n",
        "",
        "                if move.name not in refused:\n                    self.share.keep(",
        "                if move.name:\n                    self.share.keep(",
    ),
)
