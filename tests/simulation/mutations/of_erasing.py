"""Mutations of erasing: what keeps something of an actor that is over, or comes back with it."""

from tests.simulation.mutations.patching import Mutation, mutation

_STORE = "store.memory_erasing"
_EXECUTOR = "runtime.host.executor"
_EVALUATION = "runtime.processing.evaluation"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "programs are not fenced off",
        "a worker that has read what is erased since puts out what comes of it",
        _STORE,
        "        programs = self._subscriptions.fence(READERS, epoch)\n",
        "        programs = self._subscriptions.programs()\n",
    ),
    mutation(
        "the bus keeps what was erased",
        "whoever reads from the bus is given what was in its buffer before an actor was erased",
        "runtime.partition.bus",
        "        if ERASED in commit.types:\n",
        "        if False:\n",
    ),
    mutation(
        "recent commands of who is erased stay",
        "a host remembers what it has decided for an actor that it has brought to its end",
        _EXECUTOR,
        "        if attempt.erased:\n",
        "        if False:\n",
    ),
    mutation(
        "an end that was not heard of is none",
        "a host whose append of the end was committed unheard remembers what was before it",
        "runtime.host.repeats",
        "            if message_type == ERASE:  #",
        "            if False:  #",
        module="runtime.host.lifecycle",
        old="            if command[MESSAGE_TYPE] == ERASE:  #",
        new="            if False:  #",
    ),
    mutation(
        "what has left stays in the table",
        "a host remembers what it has decided for actors that another one has now",
        _EXECUTOR,
        "        self._recent.forget_of(gone)\n",
        "        for outcomes in (self._recent.in_vain, self._recent.open):\n"
        "            outcomes.forget_of(gone)\n",
    ),
    mutation(
        "no marker stands for the snapshot",
        "the snapshot of an actor that is erased goes, and one that comes late is kept",
        _STORE,
        "        if old or snapshot is None:\n",
        "        if old:\n            del self._snapshots[aggregate]\n        if False:\n",
    ),
    mutation(
        "the state of a program stays",
        "what a program has summed up of an actor is there when that was erased",
        _STORE,
        "states=self._states.erase(programs, keys),\n",
        "states=0,\n",
    ),
    mutation(
        "the row of a projection stays",
        "what a table has of an actor is there when that was erased",
        _STORE,
        "            rows=self._projections.erase(keys),\n",
        "            rows=0,\n",
    ),
    mutation(
        "timers of who is erased stay",
        "what an actor has set before it was erased is to fire",
        _STORE,
        "        timers = self._old_timers(source, version)\n",
        "        timers: list[tuple[str, str]] = []\n",
    ),
    mutation(
        "outputs of who is erased stay",
        "what programs have put out of an actor has its data yet",
        _STORE,
        "        outputs = sum(map(self._bury, self._positions_of(theirs)))\n",
        "        outputs = 0\n",
    ),
    mutation(
        "who is erased goes on",
        "a host that folds the log of an actor that is over has it take commands",
        "runtime.host.resident",
        "    if event_type in (_STOPPED, _ERASED):\n",
        "    if event_type == _STOPPED:\n",
    ),
    mutation(
        "who is not forgotten yet begins anew",
        "an actor whose erasure has no receipt is started, and what it is then may be erased",
        "runtime.host.decision",
        "        elif message_type == START and resident.erased and not resident.forgotten:\n",
        "        elif False:\n",
    ),
    mutation(
        "programs are given tombstones",
        "a program that comes to events that were erased makes something of them",
        _EVALUATION,
        "        if event.erased:\n            return []\n",
        "",
    ),
    mutation(
        "the end of an actor makes a row",
        "a program that keeps states is shown that an actor is over, and keeps one of it",
        _EVALUATION,
        "            if event.event_type == ERASED and self._program.keeps_state:\n",
        "            if False:\n",
    ),
)
