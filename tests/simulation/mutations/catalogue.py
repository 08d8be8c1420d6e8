"""The mutations, by name."""

from tests.simulation.mutations.patching import Change, Mutation


def _by_name(*mutations: Mutation) -> dict[str, Mutation]:
    return {mutation.name: mutation for mutation in mutations}


MUTATIONS = _by_name(
    Mutation(
        "no fence",
        "a writer that was replaced goes on committing",
        (
            Change(
                "store.group_commit",
                "if stale.name != WRITER or self._in_doubt or stood == self._position:",
                "if stale.name != WRITER or stood == self._position:",
            ),
        ),
    ),
)
