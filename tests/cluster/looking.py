"""What the test of a cluster sees of it, from the laptop."""

import json
from collections.abc import Mapping
from typing import Any

from tests.cluster.machines import Machine, Machines

RAY = "http://127.0.0.1:8265"


def token(laptop: Machine) -> str:
    """That of Ray."""
    return laptop.run("bash", "-c", "cat ~/.ray/auth_token").stdout.strip()


def code(laptop: Machine, where: str, bearer: str | None) -> int:
    """The status of an answer over HTTP, of Ray where no host is named; 0 where none came."""
    done = laptop.run(*_curl(where, bearer), "--output", "/dev/null", check=False)
    return int(done.stdout or 0)


def nodes(made: Machines, bearer: str, count: int) -> Mapping[str, Mapping[str, str]]:
    """By address: the labels of those that are alive; none while they are not that many."""
    found = {each["node_ip"]: each["labels"] for each in _alive(made, bearer)}
    return found if len(found) == count else {}


def machine_ids(made: Machines) -> Mapping[str, str]:
    """The address of each of Ray's nodes, by its id."""
    return {each["node_id"]: each["node_ip"] for each in _alive(made, token(made.laptop))}


def where(said: str, addresses: Mapping[str, str]) -> Mapping[str, str]:
    """Of what `thornback status --json` said: on which machine each process is, by address."""
    lines = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    return {each["name"]: addresses[each["machine"]] for each in lines}


def logs(head: Machine) -> str:
    """The ends of what Ray's autoscaler and its workers' set-up wrote on the head."""
    files = "/tmp/ray/session_latest/logs/monitor.*"
    return head.run("bash", "-c", f"tail -n 60 {files}", check=False).stdout


def _alive(made: Machines, bearer: str) -> list[Any]:
    done = made.laptop.run(*_curl("/api/v0/nodes?detail=1", bearer), check=False)
    try:
        answer = json.loads(done.stdout.rpartition("}")[0] + "}")
    except ValueError:
        return []
    found: list[Any] = answer["data"]["result"]["result"]
    return [each for each in found if each["state"] == "ALIVE"]


def _curl(where: str, bearer: str | None) -> list[str]:
    header = [] if bearer is None else ["--header", f"Authorization: Bearer {bearer}"]
    url = where if "://" in where else f"{RAY}{where}"
    return ["curl", "--silent", "--max-time", "10", "--write-out", "%{http_code}", *header, url]
