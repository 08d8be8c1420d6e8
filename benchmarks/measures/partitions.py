"""What several partitions bring, and what they cost, on one machine: as many hosts in each run, and
one driver. On two cores they can bring nothing, and what they cost is to be known."""

from benchmarks.bed import Bed
from benchmarks.figures import Figure, Measure
from benchmarks.measures.hosts import durable_with_cpu

PARTITIONS = (1, 2)
HOSTS = 2  #: of all partitions together, each of which has one at least


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """The same commands, a system after the other."""
    measured: dict[str, float] = {}
    for partitions in PARTITIONS:
        rate, cpu = _keys(partitions)
        if {rate, cpu} & wanted:
            measured[rate], measured[cpu] = durable_with_cpu(
                bed, hosts=HOSTS, partitions=partitions
            )
    return {key: measured[key] for key in wanted}


def _keys(partitions: int) -> tuple[str, str]:
    return f"partitions_{partitions}_commands_per_s", f"partitions_{partitions}_cpu_us"


MEASURE = Measure(
    run,
    tuple(
        figure
        for partitions in PARTITIONS
        for figure in (
            Figure(
                key=_keys(partitions)[0],
                input=f"as durable_commands_per_s, with {partitions} partition"
                + ("s, a database each on one server," if partitions > 1 else "")
                + f" and {HOSTS} pooled hosts in all",
            ),
            Figure(
                key=_keys(partitions)[1],
                input="the same run: microseconds of processor time of the whole machine a command",
                at_most=True,
            ),
        )
    ),
)
