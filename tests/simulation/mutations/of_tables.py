"""Mutations of projections beyond their rows: how one is built anew, refused rows, odd actors of an
index, what is found in it; and of broadcasts."""

from tests.simulation.mutations.patching import Mutation, mutation

_REBUILDING = "runtime.processing.rebuilding"
_RUN = "runtime.processing.program_run"
_FINDING = "runtime.processing.finding"
_BROADCASTING = "runtime.driver.broadcasting"
_SUBSCRIPTIONS = "store.memory_subscriptions"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a table is swapped too soon",
        "a table takes the place of another that is further",
        _SUBSCRIPTIONS,
        "            theirs[slot].position >= record.position for slot, record in slots.items()\n",
        "            theirs[slot].position >= 0 for slot, record in slots.items()\n",
    ),
    mutation(
        "old code beside a new table",
        "who works for a table by other code is not ended before it makes way",
        _REBUILDING,
        "        if in_service is None or in_service[0] != code.fingerprint:\n",
        "        if in_service is None:\n",
    ),
    mutation(
        "other code goes on with it",
        "what one code has begun to build is gone on with by another one",
        _REBUILDING,
        "        if building is not None and building[0] == code.fingerprint:\n",
        "        if building is not None:\n",
    ),
    mutation(
        "who built it is left",
        "what has built a table is not ended when that is in its place",
        _REBUILDING,
        "        await end_program(self._connection, self._built)\n"
        "        await self._forget()\n\n",
        "\n",
    ),
    mutation(
        "what is in its place is built again",
        "who asks again waits for workers whose table is in its place already",
        _REBUILDING,
        "built = await self._opened(code, make=False)\n",
        "built = await self._opened(code, make=True)\n",
    ),
    mutation(
        "who hung goes on with the next one",
        "who has hung as it began works on the table that others of its name build by now",
        _RUN,
        "        await self._check_last()\n",
        "",
    ),
    mutation(
        "a refused row is its source's",
        "an event that makes a row which the database refuses is parked for all keys of its source",
        _RUN,
        "            raise StepFailed(event, refused.key) from refused\n",
        '            raise StepFailed(event, "") from refused\n',
    ),
    mutation(
        "what was passed over stays",
        "an actor at one of whose events its index was told to go on is found as it was",
        "runtime.processing.projected_rows",
        "        return [RowChange(event.source, None)] if self._index is not None else []\n",
        "        return []\n",
    ),
    mutation(
        "what was left out comes back anew",
        "an actor that was left out of its index is folded from the next event on",
        "streams.actor_index",
        "            raise Unread(version - 1)\n",
        "            found.version = version - 1\n",
    ),
    mutation(
        "an index's past of another source",
        "an index takes what was published under an aggregate's id for its actor's",
        "streams.actor_index",
        "            if event.source == source:\n"
        "                found = self._tried(found, event)\n"
        "            else:\n"
        "                found.version = event.version or 0\n",
        "            found = self._tried(found, event)\n",
    ),
    mutation(
        "an index is asked too soon",
        "who asks for actors does not wait until the index is as far",
        _FINDING,
        "        if table is not None and position >= max(at_least, 0):\n",
        "        if table is not None:\n",
    ),
    mutation(
        "what an index lacks is not looked for",
        "an index that is behind is taken to have all that it wants",
        _FINDING,
        "    return position if missing.count else at_least\n",
        "    return at_least\n",
    ),
    mutation(
        "who asks replaces who runs",
        "who asks an index has it run by his own class in the place of one that runs by now",
        _FINDING,
        "            await ensure_program(connection, index, 0, keep=True)\n",
        "            await ensure_program(connection, index, 0)\n",
    ),
    mutation(
        "one slot speaks for all",
        "a program has come as far as the slot that is furthest",
        _SUBSCRIPTIONS,
        "        return min(theirs) if len(theirs) == SLOTS else -1\n",
        "        return max(theirs) if len(theirs) == SLOTS else -1\n",
    ),
    mutation(
        "the first page is all",
        "a broadcast is for those alone that the log names first",
        _BROADCASTING,
        "        self.is_all = len(found) < PAGE\n",
        "        self.is_all = True\n",
    ),
    mutation(
        "a broadcast is another each time",
        "its commands have other ids when it is called again",
        _BROADCASTING,
        "broadcast + aggregate_key_of(source)",
        "repr(object()).encode() + aggregate_key_of(source)",
    ),
    mutation(
        "a broadcast is one command",
        "its command has one id, whomever it is for",
        _BROADCASTING,
        "broadcast + aggregate_key_of(source)",
        'broadcast + b"all"',
    ),
)
