"""Mutations of timers: who fires what and when, and what makes a second firing harmless."""

from tests.simulation.mutations.patching import Mutation, mutation

_FIRING = "runtime.host.firing"
_PENDING = "actors.pending_timers"
_RESIDENT = "runtime.host.resident"
_KEEPING = "runtime.processing.timekeeping"
_FILING = "runtime.processing.timer_filing"
_SILENT = "runtime.processing.silent_hosts"
_WINDOW = "runtime.processing.timer_window"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "a timer is forgotten at the timekeeper's death",
        "one that begins reads what is due from now on, and not what is overdue",
        _KEEPING,
        "        self._window, self._late, self._said = Window(), [], set()\n",
        "        self._window, self._late, self._said = Window(), [], set()\n"
        '        self._window.reach = type(FIRST)(self._world.now_us(), "", "")\n',
        "from store.timers import Timer\n",
        "from store.timers import FIRST, Timer\n",
    ),
    mutation(
        "the checkpoint of timers moves before their table",
        "a timekeeper that dies in between has read a timer that it has nowhere",
        _KEEPING,
        "        self._pending += await self._store.file_timers(move, changes)\n",
        "        await self._store.move_checkpoint(move)\n"
        "        await self._changed_within(0.3)\n"
        "        self._pending += await self._store.file_timers(move, changes)\n",
    ),
    mutation(
        "a timer fires twice after a lost answer",
        "the command of a firing has another id each time it is sent, and its host does not look",
        _KEEPING,
        'timer.timer + timer.occurrence.to_bytes(8, "big")',
        "timer.timer + repr(object()).encode()",
        module=_FIRING,
        old="        if pending is None or (pending.id, pending.occurrence) != (\n"
        "            wanted.timer,\n            wanted.occurrence,\n        ):\n",
        new="        pending = pending or Pending(bytes(16), 0, wanted.occurrence)\n"
        "        if pending is None:\n",
    ),
    mutation(
        "a cancel comes too late",
        "a timer that is cancelled goes on at its host, and in the table",
        _PENDING,
        "        actor._pending_timers = without_timer(packed, key)\n    elif",
        "        pass\n    elif",
        module=_FILING,
        old="            self._changes[name] = None\n        else:\n",
        new="            pass\n        else:\n",
    ),
    mutation(
        "a cancel is not heard by the host",
        "only the table knows of it: what is under way fires",
        _PENDING,
        "        actor._pending_timers = without_timer(packed, key)\n    elif",
        "        pass\n    elif",
    ),
    mutation(
        "a cancel of no timer is told",
        "the log has it, although there was nothing to be cancelled",
        _PENDING,
        "    return cancel.key == ended or pending_of(actor, cancel.key) is None\n",
        "    return False\n",
    ),
    mutation(
        "a cancel is taken for one of no timer",
        "it comes to nothing, and the timer goes on",
        _PENDING,
        "    return cancel.key == ended or pending_of(actor, cancel.key) is None\n",
        "    return True\n",
    ),
    mutation(
        "the look-ahead skips a stretch",
        "a timer that is set behind what was read is taken for read",
        _WINDOW,
        '        self.reach = timers[-1].place if more else Place(until_us + 1, "", "")\n',
        '        self.reach = Place(until_us + 1, "", "")\n',
    ),
    mutation(
        "what is set within the look-ahead is not seen",
        "a timer that is filed when its stretch was read already waits for nobody to look",
        _WINDOW,
        "            if timer.place <= self.reach:\n                self._put(timer)\n",
        "            pass\n",
    ),
    mutation(
        "a timer fires by the clock of the timekeeper alone",
        "its host does not look whether it is time",
        _FIRING,
        "        if now_us < pending.due_us:\n",
        "        if False:\n",
    ),
    mutation(
        "every drifts",
        "the next occurrence counts from when the last one fired",
        _PENDING,
        "    return Turn(True, missed, pending.due_us + (missed + 1) * every_us)\n",
        "    return Turn(True, missed, now_us + every_us)\n",
    ),
    mutation(
        "all that was missed is fired once",
        "a timer that wants each of its occurrences is treated like the others",
        _PENDING,
        '    missed = 0 if pending.missed == "all" else (now_us - pending.due_us) // every_us\n',
        "    missed = (now_us - pending.due_us) // every_us\n",
    ),
    mutation(
        "a snapshot has no timers",
        "an actor that comes back from one knows of none that was set before it",
        _RESIDENT,
        '            timers=encode_pending(pending) if pending else b"",\n',
        '            timers=b"",\n',
    ),
    mutation(
        "a timer that was put off is put off for good",
        "what could not be fired is not looked at again",
        _KEEPING,
        "            filing.add_late(each for each in late if self._window.holds(each[0]))\n",
        "            filing.add_late(())\n",
    ),
    mutation(
        "an old timer moves back what has fired meanwhile",
        "what could not be fired is put off although the log has it as fired",
        _KEEPING,
        "each for each in late if self._window.holds(each[0])",
        "late",
    ),
    mutation(
        "a firing that is early is forgotten",
        "what its host does not fire yet is taken for answered",
        _KEEPING,
        "            if early_us > self.PATIENT_US or "
        "not self._window.put_back(timer, now_us + early_us):\n",
        "            if early_us > self.PATIENT_US:\n",
    ),
    mutation(
        "a firing that is early is dropped with others",
        "where too many are in memory it goes, too, and is read from where it was due: no more",
        _WINDOW,
        "        early = [self._pending[name] for name in self._early]\n",
        "        early: list[Timer] = []\n        self._early.clear()\n",
        "        others = (timer for name, timer in self._pending.items() if name not in "
        "self._early)\n",
        "        others = iter(self._pending.values())\n",
    ),
    mutation(
        "what a wrong clock has put off waits for it",
        "the clock that was ahead is set right, and nobody looks at what it has put off",
        _KEEPING,
        "        if before_us is not None and ahead_us >= before_us - self.STEP_US:\n",
        "        if before_us is not None:\n",
    ),
    mutation(
        "a host that was replaced is done with a timer",
        "what it has nothing of it has no effect of, and is believed for good",
        _WINDOW,
        "            self._done[timer.source, timer.key] = now_s\n",
        "            pass\n",
    ),
    mutation(
        "a host that is away holds up all others",
        "what is for it waits where all wait, and there is no room for more",
        _SILENT,
        "        before_s = now_s - self._silent_s\n",
        "        before_s = -1.0\n",
    ),
    mutation(
        "the way to a silent host is kept",
        "another host is known to have the actors, and what is for them is put off all the same",
        _KEEPING,
        "            self._ways.clear()  # or who is there",
        "            pass  # or who is there",
    ),
    mutation(
        "what a silent host was sent is waited for",
        "of a batch that it has a part of, the others' next timers wait for its answer",
        _KEEPING,
        "            self._give_up(silent)\n",
        "            pass\n",
    ),
    mutation(
        "who is started wakes nobody",
        "what waits for an actor is tried when its rest is over, although it was started",
        "runtime.host.decision",
        "                self.on_started(resident.source)\n",
        "                pass\n",
    ),
    mutation(
        "what was woken is not read again",
        "the table has it earlier, and nobody looks there any more",
        _KEEPING,
        "            self._window.woken(woken.first_us, self._world.now_us())\n",
        "            pass\n",
    ),
    mutation(
        "nobody keeps time",
        "a host that comes back does not look whether the log has timers, and has nobody called",
        "runtime.host.host",
        "            await timekeeper.say_if_any(self._store)\n",
        "",
    ),
    mutation(
        "what a timer failed with is not told",
        "the log has it as fired, as if its handler had come to nothing by itself",
        _FIRING,
        "            attempt.took_effect(index)  # it has fired all the same, and the log says so\n"
        "            return Outcome((), error)\n",
        "            attempt.took_effect(index)\n            return Outcome(())\n",
    ),
)
