"""The one seed that whoever runs the tests has asked for (`pytest --simulation-seed N`)."""

_chosen: int | None = None


def choose_seed(seed: int) -> None:
    """All simulations of this process run this one night."""
    global _chosen  # noqa: PLW0603 - a program has one command line
    _chosen = seed


def chosen_seed() -> int | None:
    """It, if one was asked for."""
    return _chosen
