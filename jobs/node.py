"""Run `ray start --block` on a machine, and have that machine left in order when this is to end.

    python -m jobs.node ray start --address=HEAD:6379 --block --labels=...

SIGTERM and Ctrl-C are passed on. Ray then says that the machine is about to go, what runs there of
a system is flushed and started on other machines, and Ray ends when nothing is left, or after
`--within` seconds. Ray itself ends with 1 in any case; this ends with 0 where nothing was left by
then, and with 1 where something was.
"""

import argparse
import signal
import subprocess
import time
from types import FrameType

from jobs.terminal import IMPOSSIBLE, UNWELL, problems, run


def attended(command: list[str], within_s: int) -> int:
    """Run a command of Ray that blocks, until it ends or is told to; the exit code."""
    told_s: list[float] = []
    children: list[subprocess.Popen[bytes]] = []

    def end(number: int, frame: FrameType | None) -> None:
        told_s.append(time.monotonic())
        for each in children:
            each.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # In a session of its own, so that Ctrl-C comes to it as SIGTERM, once.
    limited = ["env", f"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S={within_s}", *command]
    child = subprocess.Popen(limited, start_new_session=True)
    children.append(child)
    if told_s:  # while there was none yet
        child.terminate()
    code = child.wait()
    if not told_s:
        return code
    took_s = time.monotonic() - told_s[0]
    if took_s < within_s:
        return 0
    problems.print(f"something was left on this machine after {within_s} s")
    return UNWELL


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--within", type=int, default=20, metavar="S", help="seconds to leave the machine in"
    )
    options.add_argument("command", nargs=argparse.REMAINDER, help="ray start ... --block")
    arguments = options.parse_args()
    if "--block" not in arguments.command:
        problems.print("say what to run: python -m jobs.node ray start --address=... --block")
        return IMPOSSIBLE
    return attended(arguments.command, arguments.within)


if __name__ == "__main__":
    run(main)
