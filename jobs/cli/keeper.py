"""The process that keeps a project's Ray between `thornback up` and `thornback down`.

Ray ends with the process that started it, whichever way that ends, so nothing of it is left
behind. Says "ready" on standard output when the Ray is noted, and ends at SIGTERM.
"""

import os
import signal
import sys
import threading

from runtime.cluster.project_ray import forget, note
from runtime.cluster.ray_session import end_ray, start_ray, way_in


def main() -> None:
    """Start Ray, note it, and keep it until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal of `up` is not for it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as Ray's own handler does
    try:
        start_ray()
        # After Ray, which has handlers of its own.
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        note(way_in())
        print("ready", flush=True)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads the pipe any more
        stop.wait()
    finally:
        forget()
        end_ray()


if __name__ == "__main__":
    main()
