"""What a machine says to another: `python -m tests.network.probing HOST PORT...`.

It is run on the machine that asks, shows a token of Ray where RAY_TOKEN has one, and prints JSON:
by port, all that was answered with more than a refusal.
"""

import http.client
import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

#: Seconds to connect, and for an answer. What a policy drops is silent.
LIMIT_S = 3.0
GETS = (
    "/", "/metrics", "/livez", "/readyz", "/docs", "/v1/types", "/v1/system", "/openapi.json",
    "/api/healthz", "/api/version",
    "/api/jobs/", "/api/job_agent/jobs/", "/api/v0/nodes", "/nodes?view=summary", "/logs/",
    "/api/local_raylet_healthz", "/api/gcs_healthz",
)  # fmt: skip
#: Whoever may do this, runs code.
POSTS = ("/api/jobs/", "/api/job_agent/jobs/", "/get_or_create_runtime_env", "/v1/commands")
#: Calls of each of Ray's services that would do, or tell, something: they take an empty message.
CALLS = (
    "NodeInfoGcsService/GetAllNodeInfo", "ActorInfoGcsService/GetAllActorInfo",
    "JobInfoGcsService/GetAllJobInfo", "InternalKVGcsService/InternalKVKeys",
    "NodeManagerService/GetNodeStats", "NodeManagerService/GetSystemConfig",
    "CoreWorkerService/GetCoreWorkerStats", "CoreWorkerService/PushTask",
    "ObjectManagerService/Pull", "RayletDriver/ClusterInfo", "RayletDriver/ListNamedActors",
    "ReporterService/GetTraceback", "LogService/ListLogs",
)  # fmt: skip
#: Refused; or there is no such thing, which is said before anybody asks for a token.
_NO = {401, 403, 404, 405}
_NO_CALL = {
    grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip


def answers(host: str, port: int, token: str | None) -> list[str] | None:
    """What a port has answered; None where there is no connection."""
    try:
        socket.create_connection((host, port), timeout=LIMIT_S).close()
    except OSError:
        return None
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    return [*_by_http(f"http://{host}:{port}", shown), *_by_grpc(f"{host}:{port}", shown)]


def _by_http(base: str, shown: dict[str, str]) -> Iterator[str]:
    asked: list[tuple[str, bytes | None]] = [(path, None) for path in GETS]
    asked += [(path, b"{}") for path in POSTS]
    for path, body in asked:
        headers = {"Content-Type": "application/json", **shown}
        request = urllib.request.Request(base + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except (OSError, http.client.HTTPException):
            return  # this is no HTTP
        if status not in _NO:
            yield f"{request.get_method()} {path} {status}"


def _by_grpc(where: str, shown: dict[str, str]) -> Iterator[str]:
    metadata = [(name.lower(), value) for name, value in shown.items()]
    with grpc.insecure_channel(where) as channel:
        for name in CALLS:
            call = channel.unary_unary(f"/ray.rpc.{name}", lambda _: b"", lambda answer: answer)
            try:
                call(None, timeout=LIMIT_S, metadata=metadata)
                yield f"{name} OK"
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return  # this is no gRPC
                if error.code() not in _NO_CALL:
                    yield f"{name} {error.code().name}"


def main() -> None:
    host, *ports = sys.argv[1:]
    token = os.environ.get("RAY_TOKEN")
    with ThreadPoolExecutor(32) as pool:
        found = pool.map(lambda port: answers(host, int(port), token), ports)
        said = {port: each for port, each in zip(ports, found, strict=True) if each is not None}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
