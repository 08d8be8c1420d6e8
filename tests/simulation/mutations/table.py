"""The table of mutations: which seed found each, and how long that took."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.mutations.catalogue import MUTATIONS


def print_table(names: Sequence[str], cores: int, seeds: int) -> int:
    """Hunt each mutation (all unless named). Zero if every one was found."""
    wanted = list(names or MUTATIONS)
    missed = 0
    print(f"{'mutation':34} {'seed':>5} {'time':>8}  first seen as")
    with ThreadPoolExecutor(cores) as pool:
        for name, found in zip(wanted, pool.map(lambda one: hunt(one, seeds), wanted), strict=True):
            if found is None:
                missed += 1
                print(f"{name:34} not found in {seeds} seeds", flush=True)
            else:
                seed, seconds, problem = found
                print(f"{name:34} {seed:>5} {seconds:>6} s  {problem[:110]}", flush=True)
    print(f"{len(wanted) - missed} of {len(wanted)} found")
    return 1 if missed else 0


def hunt(name: str, seeds: int) -> tuple[str, str, str] | None:
    """The seed that found a mutation, the seconds it took, and what was seen."""
    command = [sys.executable, "-m", "tests.simulation.mutations.hunt", name, str(seeds)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"{name}: {ran.stderr[-2000:]}")
    if ran.returncode == 1 or not ran.stdout:
        if ran.stderr:
            raise RuntimeError(f"{name}: {ran.stderr[-2000:]}")
        return None
    seed, seconds, problem = ran.stdout.rstrip("\n").split("\t", 2)
    return seed, seconds, problem
