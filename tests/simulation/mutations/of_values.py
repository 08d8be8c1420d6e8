"""Mutations of values: what a command, an event and a state are made of, on their way."""

from tests.simulation.mutations.patching import Mutation, mutation

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a rerun takes what was changed",
        "a message shares the insides of its data with the next run of its command",
        "actors.openness",
        "        return by_name(_copied(model, data))\n",
        "        return by_name(data)\n",
    ),
    mutation(
        "applied as it was yielded",
        "what a handler yielded is applied, not what the log gives back of it",
        "store.rows.read_back",
        "        return text, found\n",
        "        return text, event\n",
    ),
    mutation(
        "a state by its aliases",
        "a state is read by the aliases of its fields, though it was written by their names",
        "actors.state_form",
        "        return self.adapter.validate_json(text, by_alias=True, by_name=True)\n",
        "        return self.adapter.validate_json(text)\n",
        "        if lost := self._lost(state, text, difference):\n",
        "        if False and (lost := self._lost(state, text, difference)):\n",
        "        if lost := self._lost(state, self.text(state), inequality):\n",
        "        if False and (lost := self._lost(state, self.text(state), inequality)):\n",
    ),
)
