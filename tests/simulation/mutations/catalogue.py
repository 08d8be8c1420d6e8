"""The mutations, by name: small faults of the path, some of which it once had."""

from tests.simulation.mutations import (
    of_blocking,
    of_companies,
    of_drivers,
    of_drops,
    of_ending,
    of_erasing,
    of_groups,
    of_hosts,
    of_lives,
    of_messages,
    of_moves,
    of_partitions,
    of_programs,
    of_subscriptions,
    of_systems,
    of_tables,
    of_timers,
    of_values,
)
from tests.simulation.mutations.patching import Mutation

MUTATIONS: dict[str, Mutation] = {
    mutation.name: mutation
    for mutation in (
        *of_hosts.MUTATIONS,
        *of_lives.MUTATIONS,
        *of_partitions.MUTATIONS,
        *of_drivers.MUTATIONS,
        *of_systems.MUTATIONS,
        *of_subscriptions.MUTATIONS,
        *of_groups.MUTATIONS,
        *of_programs.MUTATIONS,
        *of_companies.MUTATIONS,
        *of_drops.MUTATIONS,
        *of_blocking.MUTATIONS,
        *of_ending.MUTATIONS,
        *of_erasing.MUTATIONS,
        *of_messages.MUTATIONS,
        *of_moves.MUTATIONS,
        *of_tables.MUTATIONS,
        *of_timers.MUTATIONS,
        *of_values.MUTATIONS,
    )
}
