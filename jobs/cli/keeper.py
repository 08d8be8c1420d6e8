"""The process that keeps a project's Ray between `thornback up` and `thornback down`.

Ray ends with the process that started it, whichever way that ends, so nothing of it is left
behind. Says "ready" on standard output when the Ray is noted, and ends at SIGTERM; where nobody
hears that any more, because whoever started it was killed, it ends at once. Until then it has the
lock of the folder, whose descriptor is its argument: nobody else starts a Ray there beside it.
"""

import os
import signal
import sys
import threading

from runtime.cluster.project_ray import forget, note
from runtime.cluster.ray_session import end_ray, start_ray, way_in


def main(lock: int) -> None:
    """Start Ray, note it, and keep it until SIGTERM."""
    os.set_inheritable(lock, False)
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
        os.close(lock)
        stop.wait()
    except BrokenPipeError:
        print("whoever started this Ray was killed before it was ready: it ends", file=sys.stderr)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is buffered has nowhere to go
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough, and the end takes seconds
        forget()
        end_ray()


if __name__ == "__main__":
    main(int(sys.argv[1]))
