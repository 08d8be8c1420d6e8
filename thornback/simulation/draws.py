"""What is drawn from a seed. Each decision has a stream of its own, named after what it is
about, so that taking away one fault does not shift what is drawn for everything else."""

from random import Random


def stream(seed: int, *about: object) -> Random:
    """The stream of draws for one subject."""
    return Random("/".join(map(str, (seed, *about))))


def latency_s(draw: Random) -> float:
    """How long a message travels: mostly half a millisecond, sometimes much longer."""
    chance = draw.random()
    if chance < 0.9:
        return 0.0001 + 0.0009 * draw.random()
    if chance < 0.99:
        return 0.001 + 0.02 * draw.random()
    return 0.02 + 0.3 * draw.random()
