"""Mutations of programs that are dropped while they run: what does not come back, and what does."""

from tests.simulation.mutations.patching import Mutation, mutation

_RUN = "runtime.processing.program_run"
_WORKER = "runtime.processing.worker"
_WORKERS = "runtime.cluster.workers"
_CHECKPOINT = "runtime.processing.checkpoint"
_MEMBERSHIP = "runtime.processing.membership"

MUTATIONS: tuple[Mutation, ...] = (
    mutation(
        "what was dropped begins anew",
        "a worker that begins makes the slots that it does not find",
        _RUN,
        "                name, self._selection, after, self._epoch, make=False\n",
        "                name, self._selection, after, self._epoch\n",
    ),
    mutation(
        "what was dropped is taken for running",
        "a worker whose program was dropped says that it runs it",
        _WORKER,
        '        return "" if dropped else self._fingerprint, self._workers, handlers\n',
        "        return self._fingerprint, self._workers, handlers\n",
    ),
    mutation(
        "nobody ends what was dropped",
        "a worker that finds its program gone says so, and goes on being there",
        _WORKER,
        "        await self._have_ended(program)\n",
        "",
    ),
    mutation(
        "what was begun since is ended",
        "who has found that its program was dropped has those ended that run it again",
        _WORKERS,
        "            if dropped:\n                say = ",
        "            if False:\n                say = ",
    ),
    mutation(
        "the others go on",
        "handlers that run together go on without the one that was dropped",
        _WORKER,
        "        dropped = self._dropped or await self._is_dropped()\n",
        "        dropped = (self._dropped or await self._is_dropped()) and not handlers\n",
    ),
    mutation(
        "what was dropped is kept",
        "who reads a durable subscription that was dropped is told that it is kept",
        _CHECKPOINT,
        "                self._fail(self._lost)\n                raise self._lost from error\n",
        "                return position\n",
    ),
    mutation(
        "members of nothing",
        "a member that sees that its group was dropped does not say so to whoever reads",
        _MEMBERSHIP,
        "                inlet.fail(error)\n                return\n",
        "                return\n",
    ),
)
