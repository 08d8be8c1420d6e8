"""What a spare process has imported before it is anybody's."""

import subprocess
import sys

#: What Ray does in a process before its actor is made of what it was given.
BEGINS = """
import sys
import runtime.cluster.warm
there = set(sys.modules)
import runtime.host.host, runtime.partition.writer, runtime.partition.bus
import runtime.processing.worker, runtime.processing.deliverer, runtime.processing.timekeeper
from ray._private.serialization import SerializationContext
from ray._private.worker import global_worker
SerializationContext(global_worker)
print(*sorted(set(sys.modules) - there))
"""


def test_a_process_that_begins_in_a_spare_imports_nothing_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINS], check=True, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
