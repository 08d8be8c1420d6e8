"""`make cluster-test`: a cluster by ray-cluster.yaml, on machines that are made for it.

What docs/deployment.md tells to do is done line by line, as a user would on a laptop: `ray up`, a
token, a launch, a replay, a look, and `ray down`. Of ray-cluster.yaml the test changes what a user
has to: how many workers there are. Not part of `make test`: it needs root, sshd, and minutes.
"""

import argparse
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

from tests.cluster import looking, machines, wheels
from tests.cluster.database import start_database
from tests.cluster.machines import Machines, eventually
from tests.e2e.place import ROOT

WORKERS = 2

#: On a machine that builds three environments at a time with two cores.
UP_S = 1500.0
JOIN_S = 900.0
LAUNCH_S = 400.0
REPLAY_S = 600.0
DOWN_S = 60.0

#: Those of the repository's file.
FILE_WORKERS = "192.0.2.11 192.0.2.12 192.0.2.13"

# What docs/deployment.md shows, word by word.
TOKEN = "install -d -m 700 ~/.ray && (umask 077 && openssl rand -hex 32 > ~/.ray/auth_token)"
ENVIRONMENT = """(umask 077 && echo "DATABASE_URL='postgresql://...'" > ~/.ray/thornback.env)"""
EXPORTS = "export RAY_AUTH_MODE=token RAY_UP_enable_autoscaler_v2=0"
UP = "ray up --yes ray-cluster.yaml"
MIGRATE = "ray exec ray-cluster.yaml 'python -m jobs.migrate'"
CREATE = "ray exec ray-cluster.yaml 'python -m jobs.tokens create operator --scope admin'"
DASHBOARD = "ray dashboard ray-cluster.yaml"
ADDRESS = "export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265"
LAUNCH = "ray job submit -- python -m jobs.launch --timeout 300"
REPLAY = "ray job submit -- python -m jobs.replay --days 2"
STATUS = "ray job submit -- thornback status --json"
DRAIN = "ray job submit -- python -m jobs.drain"
DOWN = "ray down --yes ray-cluster.yaml"
STOP = "for worker in 192.0.2.11 192.0.2.12 192.0.2.13; do ssh -o StrictHostKeyChecking=accept-new thornback@$worker ray stop; done"  # noqa: E501


def cluster_file(addresses: Sequence[str]) -> str:
    """The repository's, with as many workers as there are."""
    text = (ROOT / "ray-cluster.yaml").read_text()
    for pattern, ours in (
        (r"worker_ips: \[.*\]", f"worker_ips: [{', '.join(addresses)}]"),
        (r"^(m..)_workers: \d+$", rf"\1_workers: {len(addresses)}"),
    ):
        text, count = re.subn(pattern, ours, text, flags=re.MULTILINE)
        assert count, f"ray-cluster.yaml has no {pattern}"
    return text


class Story:
    """Runs the lines, says what came of each, and how long it took."""

    def __init__(self, made: Machines) -> None:
        self.made = made
        self._began_s = time.monotonic()
        self._forward: subprocess.Popen[str] | None = None

    def say(self, what: str) -> None:
        """A line of the test's own output."""
        print(f"{time.monotonic() - self._began_s:6.1f} s  {what}", flush=True)

    def forward(self) -> None:
        """Forward Ray's dashboard and jobs, as in a terminal of its own."""
        line = f"{EXPORTS}\nexec {DASHBOARD}"
        self._forward = self.made.laptop.start("bash", "-c", line, output=subprocess.DEVNULL)

    def forward_no_more(self) -> None:
        """What Ctrl-C in that terminal does; as SIGTERM, which reaches those that run in the
        background, too."""
        if self._forward is not None:
            for each in psutil.Process(self._forward.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # it has ended with the one before it
                    each.terminate()
            self._forward.wait(60)

    def run(self, line: str, within_s: float, *, fails: bool = False, secret: str = "") -> str:
        """Run a line in the laptop's shell, with the `secret` where it has dots; what it printed.
        Raises AssertionError where it does not end as it should."""
        began_s = time.monotonic()
        shell = ("bash", "-c", f"{EXPORTS}\n{ADDRESS}\n{line.replace('postgresql://...', secret)}")
        done = self.made.laptop.run(*shell, timeout_s=within_s, check=False)
        assert (done.returncode != 0) == fails, (
            f"{line}: ended with {done.returncode}\n{done.stdout}"
        )
        self.say(f"{line}   ({time.monotonic() - began_s:.1f} s)")
        return done.stdout


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--below", type=Path, default=Path("/var/tmp"), metavar="FOLDER",
        help="where the machines' files go, some 4 GB of them; nothing below /tmp",
    )  # fmt: skip
    arguments = options.parse_args()
    if (reason := machines.lacking() or wheels.lacking()) is not None:
        print(f"skipped: {reason}")
        return 0
    signal.signal(signal.SIGTERM, _ended)  # so that what was made goes
    gathered = wheels.gathered()
    with machines.machines(WORKERS, gathered, cluster_file, arguments.below) as made:
        story = Story(made)
        try:
            told(story)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            story.say(f"failed: {error}")
            print(looking.logs(made.head), file=sys.stderr)
            return 1
    print("ray-cluster.yaml makes a cluster, and leaves nothing")
    return 0


def told(story: Story) -> None:
    """All of it, in order."""
    prepared(story)
    brought_up(story)
    let_in_by_token_alone(story)
    launched(story)
    replayed(story)
    brought_down(story)


def prepared(story: Story) -> None:
    """A token, and a database."""
    laptop = story.made.laptop
    url = start_database(laptop, story.made.folder / "database", secrets.token_urlsafe(16))
    story.run(TOKEN, 60)
    story.run(ENVIRONMENT, 60, secret=url)


def brought_up(story: Story) -> None:
    """Head and workers, each with its labels."""
    story.run(UP, UP_S)
    laptop = story.made.laptop
    story.forward()
    token = looking.token(laptop)
    eventually(
        "the dashboard answers", lambda: looking.code(laptop, "/api/version", token) == 200, 60
    )
    nodes = eventually(
        f"{WORKERS} workers join",
        lambda: looking.nodes(story.made, token, 1 + WORKERS),
        JOIN_S,
    )
    roles = {ip: labels["thornback.dev/role"] for ip, labels in nodes.items()}
    assert roles == {machines.HEAD: "core", **dict.fromkeys(story.made.addresses, "host")}, roles
    story.say(f"all machines are there: {roles}")


def let_in_by_token_alone(story: Story) -> None:
    """Ray answers nobody who has not the token."""
    laptop = story.made.laptop
    answers = [looking.code(laptop, "/api/jobs/", each) for each in (None, "0" * 64)]
    assert answers == [401, 403], answers
    refused = story.run(f"RAY_AUTH_MODE=disabled {LAUNCH}", 60, fails=True)
    assert "401" in refused or "Unauthorized" in refused, refused
    story.say("without the token it is 401, with another one 403")


def launched(story: Story) -> None:
    """The system, with hosts on every worker and the core on the head."""
    story.run(MIGRATE, LAUNCH_S)
    words = story.run(CREATE, LAUNCH_S).split()
    token = next(word for word in words if word.startswith("thb_"))
    story.run(LAUNCH, LAUNCH_S)
    where = looking.where(story.run(STATUS, LAUNCH_S), looking.machine_ids(story.made))
    hosts = {address for name, address in where.items() if name.startswith("host-")}
    assert hosts == set(story.made.addresses), where
    core = {where[name] for name in ("directory", "writer", "bus")}
    assert core == {machines.HEAD}, where
    story.say(f"hosts are on {', '.join(sorted(hosts))}, the core is on {machines.HEAD}")
    gateway = f"http://{machines.HEAD}:8080/v1/types"
    assert looking.code(story.made.laptop, gateway, None) == 401
    assert looking.code(story.made.laptop, gateway, token) == 200
    for address in (machines.HEAD, *story.made.addresses):
        assert looking.code(story.made.laptop, f"http://{address}:9090/metrics", None) == 200


def replayed(story: Story) -> None:
    """Two days of flights, of which every check holds."""
    said = story.run(REPLAY, REPLAY_S)
    assert "holds  the log has exactly the expected events" in said, said
    story.say(next(line for line in said.splitlines() if " are new, " in line))


def brought_down(story: Story) -> None:
    """The system is drained, and no process is left on any machine."""
    story.run(DRAIN, LAUNCH_S)
    story.forward_no_more()
    story.run(DOWN, LAUNCH_S)
    story.run(STOP.replace(FILE_WORKERS, " ".join(story.made.addresses)), LAUNCH_S)
    left: list[str] = []

    def gone() -> bool:
        left[:] = [f"{each.name}: {line}" for each in story.made.all() for line in each.processes()]
        return not left

    try:
        eventually("`ray down` leaves nothing", gone, DOWN_S)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *left])) from error
    story.say("nothing is left on any machine")


def _ended(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
