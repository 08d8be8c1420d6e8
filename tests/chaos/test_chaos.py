"""One short seed of the chaos suite, as `make chaos` runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cluster.node_network import impossible

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

#: Within seconds it kills a host and a node, has shards move, sets a clock, and cuts a node off
#: where root runs it.
SEED = "1095"

ROOT = Path(__file__).resolve().parents[2]


def test_make_chaos_is_the_command_that_this_test_runs() -> None:
    assert "\t@exec $(BIN)/python -m tests.chaos $(ARGS)\n" in (ROOT / "Makefile").read_text()


def test_a_short_seed_keeps_all_promises_and_leaves_nothing_over() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seed", SEED, "--seconds", "12"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    [faults] = re.findall(rf"^ +{SEED} +(\d+) .* all kept$", done.stdout, re.MULTILINE)
    assert int(faults) > 0, done.stdout
    assert "kill-node: 1" in done.stdout
    assert "set-clock: 1" in done.stdout
    assert ("cut-node: 1" in done.stdout) == (impossible() is None), done.stdout
    assert re.search(r"^requests .*held: [1-9]", done.stdout, re.MULTILINE), done.stdout
    assert "left over" not in done.stdout
