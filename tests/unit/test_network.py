"""Calls between machines: in TLS or not at all, among those who have certificates and the token.

Real sockets on loopback, no Ray: each test has a process of "there" that is called from "here".
"""

import asyncio
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import ray
import uvloop

from runtime.partition.writer import WriterActor
from runtime.settings.settings import ConfigurationError, Settings, TlsFile
from runtime.system import ActorSystem
from runtime.telemetry.metrics import Metrics
from runtime.transport import loopback
from runtime.transport.caller import Caller
from runtime.transport.certificates import Certificates
from runtime.transport.loopback import Server
from runtime.transport.network import Network, NetworkAddress, digest
from tests.unit.calling import Held, Process
from tests.unit.certificates import Authority


async def echo(request: bytes) -> bytes:
    return request


async def backwards(request: bytes) -> bytes:
    return request[::-1]


class Machine:
    """A machine of the cluster: its certificate, and who is turned away there."""

    def __init__(self, folder: Path, name: str, authority: Authority, **given: Any) -> None:
        self.name, self.folder, self.authority = name, folder, authority
        self.certificate, self.key = authority.write(name, **given)
        self.refused: list[str] = []
        self.noticed = asyncio.Event()
        self.network = Network(Certificates(self.files), lambda: "127.0.0.1", self._refuse)

    def files(self) -> list[TlsFile]:
        named = {"certificate": self.certificate, "key": self.key, "ca": self.authority.file}
        return [TlsFile(key, str(path), "a test") for key, path in named.items()]

    def process(self, **methods: Callable[[bytes], Awaitable[bytes]]) -> Process:
        """A process that answers there."""
        made = Process(**methods)
        made.server = Server(methods, lambda: self.name, self.network)
        return made

    def caller(self, process: Process, name: str = "the process") -> Caller:
        return Caller(process, lambda: self.name, lambda: self.network, name)

    async def turned_away(self, *reasons: str) -> None:
        """Wait until these were refused, and nobody else."""
        while len(self.refused) < len(reasons):
            self.noticed.clear()
            await asyncio.wait_for(self.noticed.wait(), 30.0)
        assert self.refused == list(reasons)

    def _refuse(self, reason: str) -> None:
        self.refused.append(reason)
        self.noticed.set()


class Cluster:
    """Two machines of one CA, and what else tests make; all of it ends with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder, "ca")
        self.here, self.there = self.machine("here"), self.machine("there")
        self.process = self.there.process(echo=echo, backwards=backwards)
        self._ends: list[Callable[[], None]] = [self.process.dies]

    def machine(self, name: str, authority: Authority | None = None, **given: Any) -> Machine:
        return Machine(self.folder, name, authority or self.authority, **given)

    def caller(self, machine: Machine | None = None, process: Process | None = None) -> Caller:
        made = (machine or self.here).caller(process or self.process)
        self._ends.append(made.close)
        return made

    def ending(self, end: Callable[[], None]) -> None:
        self._ends.append(end)

    async def port(self) -> int:
        address = (await self.process.server.address()).network
        assert address is not None
        return address.port

    async def end(self) -> None:
        for end in self._ends:
            end()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    await made.end()


async def test_a_process_of_another_machine_is_called_past_ray(cluster: Cluster) -> None:
    caller = cluster.caller()
    same, turned = await asyncio.gather(
        caller.call("echo", b"abc"), caller.call("backwards", b"abc")
    )
    assert (same, turned) == (b"abc", b"cba")
    assert (cluster.process.looked_up, cluster.process.through_ray) == (1, [])
    [connection] = cluster.process.server.connections
    assert connection.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert cluster.here.network.through_ray == {}


@pytest.mark.parametrize("size", [0, 1, 16_384, 5_000_000])
async def test_a_message_may_have_any_size(cluster: Cluster, size: int) -> None:
    caller = cluster.caller()
    request = bytes(index % 251 for index in range(size))
    answers = await asyncio.gather(*(caller.call("backwards", request) for _ in range(3)))
    assert answers == [request[::-1]] * 3


async def test_who_is_not_on_the_network_calls_through_ray(cluster: Cluster) -> None:
    """As while the setting is rolled out: one side has it, and the other one does not yet."""
    plain = Process(echo=echo)
    plain.server = Server({"echo": echo}, lambda: "there")
    cluster.ending(plain.dies)
    assert await cluster.caller(process=plain).call("echo", b"1") == b"through Ray: 1"
    assert cluster.here.network.through_ray == {"the process": "it does not answer there"}
    without = Caller(cluster.process, lambda: "here")
    cluster.ending(without.close)
    assert await without.call("echo", b"2") == b"through Ray: 2"


async def test_who_was_not_reached_is_tried_again_beside_calls_through_ray(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "AGAIN_S", 1e-9)
    plain = Process(echo=echo)
    plain.server = Server({"echo": echo}, lambda: "there")
    caller = cluster.caller(process=plain)
    assert await caller.call("echo", b"1") == b"through Ray: 1"
    plain.server.close()
    plain.server = Server({"echo": echo}, lambda: "there", cluster.there.network)
    cluster.ending(plain.dies)
    answers: list[bytes] = []
    async with asyncio.timeout(30.0):
        while answers[-1:] != [b"2"]:
            answers.append(await caller.call("echo", b"2"))
            if caller._trying is not None:
                await caller._trying
    assert answers[0] == b"through Ray: 2", "nobody waited for it"
    assert cluster.here.network.through_ray == {}


async def test_calls_go_through_ray_while_a_process_takes_long_to_be_reached(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "WAIT_S", 0.0)
    caller = cluster.caller()
    assert await caller.call("echo", b"1") == b"through Ray: 1"
    assert caller._reaching is not None
    await caller._reaching
    assert await caller.call("echo", b"2") == b"2"
    assert cluster.here.network.through_ray == {}
    assert len(cluster.process.server.connections) == 1


async def test_a_caller_that_is_closed_meanwhile_keeps_no_connection(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "WAIT_S", 0.0)
    caller = cluster.caller()
    assert await caller.call("echo", b"1") == b"through Ray: 1"
    assert caller._reaching is not None
    caller.close()
    await asyncio.wait({caller._reaching}, timeout=30.0)
    assert caller._reaching.cancelled()
    assert caller._near is None
    assert cluster.here.network.through_ray == {}


async def test_a_caller_of_another_ca_is_turned_away(cluster: Cluster, tmp_path: Path) -> None:
    stranger = cluster.machine("stranger", Authority(tmp_path, "other"))
    # It does not care who answers, so that it is the process that turns it away.
    identity = stranger.network.certificates.newest()
    identity.client.verify_mode = ssl.CERT_NONE
    assert await cluster.caller(stranger).call("echo", b"1") == b"through Ray: 1"
    await cluster.there.turned_away("a certificate that does not count")
    assert await cluster.caller().call("echo", b"2") == b"2"


async def test_a_process_of_another_ca_is_not_called(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing is said to it, not even the token."""
    stranger = cluster.machine("stranger", Authority(tmp_path, "other"))
    process = stranger.process(echo=echo)
    cluster.ending(process.dies)
    assert await cluster.caller(process=process).call("echo", b"1") == b"through Ray: 1"
    [(_, why)] = cluster.here.network.through_ray.items()
    assert why.startswith("its certificate does not count: ")


async def test_an_expired_certificate_does_not_count(cluster: Cluster) -> None:
    late = cluster.machine("late", lasts=-timedelta(hours=1))
    process = late.process(echo=echo)
    cluster.ending(process.dies)
    assert await cluster.caller(process=process).call("echo", b"1") == b"through Ray: 1"
    assert "certificate has expired" in cluster.here.network.through_ray["the process"]
    assert await cluster.caller(late).call("echo", b"2") == b"through Ray: 2"
    await cluster.there.turned_away("a certificate that does not count")


async def said_to(port: int, *, tls: ssl.SSLContext | None = None, says: bytes = b"") -> bytes:
    """What is answered to whoever says that, until the connection ends."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(says)
            return await asyncio.wait_for(reader.read(), 30.0)
        finally:
            writer.transport.abort()
    except (ConnectionError, ssl.SSLError):
        return b""


def nobodys(*, highest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Of somebody without a certificate, who trusts everybody."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if highest is not None:
        made.maximum_version = highest
    return made


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_every_loop_begins_tls_with_all_that_a_caller_says(
    make: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """Drivers and Ray's processes have different loops, whose TLS is not the same code."""

    async def called_often() -> None:
        cluster = Cluster(tmp_path)
        for number in range(20):
            assert await cluster.caller().call("echo", b"%d" % number) == b"%d" % number
        assert len(await said_to(await cluster.port(), says=b"GET / HTTP/1.1\r\n\r\n")) <= 7
        await cluster.there.turned_away("no TLS")
        assert cluster.process.through_ray == []
        await cluster.end()

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(called_often())


async def test_without_a_certificate_nobody_gets_in(cluster: Cluster) -> None:
    assert await said_to(await cluster.port(), tls=nobodys(), says=b"?") == b""
    await cluster.there.turned_away("no certificate")


async def test_nothing_older_than_tls_1_3_is_spoken(cluster: Cluster) -> None:
    tls = nobodys(highest=ssl.TLSVersion.TLSv1_2)
    assert await said_to(await cluster.port(), tls=tls) == b""
    await cluster.there.turned_away("an older TLS")


@pytest.mark.parametrize("says", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x10" + b"x" * 30])
async def test_nothing_is_said_in_the_clear(cluster: Cluster, says: bytes) -> None:
    """An answer is TLS's own, that there is none."""
    caller = cluster.caller()
    assert await caller.call("echo", b"1") == b"1"
    assert len(await said_to(await cluster.port(), says=says)) <= 7
    await cluster.there.turned_away("no TLS")
    assert await caller.call("echo", b"2") == b"2"


async def test_a_certificate_without_the_token_does_not_let_in(cluster: Cluster) -> None:
    cluster.process.changed = {"token": b"x" * 16}
    assert await cluster.caller().call("echo", b"1") == b"through Ray: 1"
    await cluster.there.turned_away("no token")
    assert cluster.here.network.through_ray == {"the process": "it does not let this process in"}


async def test_a_process_that_does_not_know_the_proof_is_not_called(cluster: Cluster) -> None:
    cluster.process.changed = {"proof": b"x" * 16}
    assert await cluster.caller().call("echo", b"1") == b"through Ray: 1"


async def test_somebody_in_between_with_a_certificate_of_the_ca_can_pass_nothing_on(
    cluster: Cluster,
) -> None:
    """It has the traffic come to itself, and a connection of its own to the process."""
    middle = cluster.machine("middle")
    identity = middle.network.certificates.newest()
    port = await cluster.port()
    passed_on: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, to = await asyncio.open_connection(
            "127.0.0.1", port, ssl=identity.client, server_hostname="x"
        )
        passed_on.append(await reader.read(1000))
        to.write(passed_on[0])
        writer.write(await onward.read(1000))
        for each in (to, writer):
            each.transport.abort()

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=identity.server)
    cluster.ending(server.close)
    address = await cluster.process.server.address()
    there = NetworkAddress(*server.sockets[0].getsockname())
    cluster.process.changed = {"network": there}
    assert await cluster.caller().call("echo", b"1") == b"through Ray: 1"
    assert passed_on, "the caller did speak to it"
    await cluster.there.turned_away("no token")
    assert address.token not in passed_on[0]


async def test_who_says_nothing_is_not_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "HANDSHAKE_S", 0.05)
    assert await said_to(await cluster.port()) == b""
    await cluster.there.turned_away("no end of the handshake")


async def test_who_says_nothing_keeps_nobody_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many connections may be at their beginning, and the oldest gives way."""
    monkeypatch.setattr(Network, "HANDSHAKES", 3)
    monkeypatch.setattr(Network, "HANDSHAKE_S", 1000.0)
    port = await cluster.port()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    await cluster.there.turned_away(*["too many at a time"] * 2)
    assert await asyncio.wait_for(idle[0][0].read(), 30.0) == b""
    assert await cluster.caller().call("echo", b"1") == b"1"
    for _, writer in idle:
        writer.transport.abort()


async def test_who_shows_a_certificate_and_no_token_is_not_kept(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback, "STRANGE_S", 0.0)
    tls = cluster.here.network.certificates.newest().client
    assert await said_to(await cluster.port(), tls=tls) == b""


async def test_a_stranger_takes_no_memory_before_it_is_known(cluster: Cluster) -> None:
    tls = cluster.here.network.certificates.newest().client
    says = loopback.HEADER.pack(2**32 - 1, 0, 0)
    assert await said_to(await cluster.port(), tls=tls, says=says) == b""


async def test_a_certificate_that_is_renewed_is_shown_to_who_comes_then(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Also one of another CA, as long as both know both; connections that stand stay."""
    standing = cluster.caller()
    assert await standing.call("echo", b"1") == b"1"
    newer = Authority(tmp_path, "newer")
    both = cluster.authority.file.read_bytes() + newer.file.read_bytes()
    cluster.authority.file.write_bytes(both)
    for made, used in zip(
        newer.write("renewed"), (cluster.there.certificate, cluster.there.key), strict=True
    ):
        shutil.copy(made, used)
    caller = cluster.caller()
    assert await caller.call("echo", b"2") == b"2"
    assert caller._near is not None
    shown = caller._near.transport.get_extra_info("ssl_object").getpeercert()
    assert shown["subject"] == ((("commonName", "renewed"),),)
    assert await standing.call("echo", b"3") == b"3"
    assert cluster.process.through_ray == []


async def test_a_renewal_that_cannot_be_used_changes_nothing(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    assert await cluster.caller().call("echo", b"1") == b"1"
    whole = cluster.there.key.read_bytes()
    cluster.there.key.write_bytes(b"half of it")
    assert await cluster.caller().call("echo", b"2") == b"2"
    assert "the old certificate stays in use" in caplog.text
    cluster.there.key.write_bytes(whole)
    assert await cluster.caller().call("echo", b"3") == b"3"
    assert cluster.process.through_ray == []


async def test_a_process_without_usable_files_answers_over_loopback_alone(
    cluster: Cluster,
) -> None:
    cluster.there.key.unlink()
    with pytest.raises(ConfigurationError, match=r"there\.key: No such file"):
        cluster.there.network.check()
    assert (await cluster.process.server.address()).network is None


async def test_a_process_that_ends_fails_what_it_was_asked_and_is_found_again(
    cluster: Cluster,
) -> None:
    held = Held()
    process = cluster.there.process(ask=held, echo=echo)
    caller = cluster.caller(process=process)
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await held.has(b"?")
    process.server.close()
    process.server = Server(process.methods, lambda: "there", cluster.there.network)
    cluster.ending(process.dies)
    with pytest.raises(ConnectionError):
        await asked
    assert await caller.call("echo", b"!") == b"!"
    assert process.through_ray == []


async def test_a_process_that_is_closed_takes_nobody(cluster: Cluster) -> None:
    port = await cluster.port()
    cluster.process.server.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_connection_notices_the_end_of_the_other_machine(cluster: Cluster) -> None:
    """Nobody says that a machine has gone: each end asks, and what is sent has its time."""
    caller = cluster.caller()
    await caller.call("echo", b"1")
    assert caller._near is not None
    [answering] = cluster.process.server.connections
    for end in (caller._near, answering):
        with socket.socket(fileno=socket.dup(end.transport.get_extra_info("socket").fileno())) as s:
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= Network.GONE_S
            assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_the_digest_depends_on_the_certificate_that_was_seen() -> None:
    assert digest(b"token", b"one") != digest(b"token", b"two")
    assert len(digest(b"token", b"one")) == 32


def test_a_launch_without_certificates_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_TLS_SERVER_CERT", raising=False)
    settings = Settings.load(environ={}, transport={"between_machines": "tls"})
    was_there = ray.is_initialized()  # by another test
    with pytest.raises(ConfigurationError, match=r"transport\.certificate: found neither"):
        ActorSystem.launch(settings)
    assert ray.is_initialized() == was_there


async def test_a_process_does_not_start_without_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_TLS_SERVER_CERT", raising=False)
    settings = Settings.load(environ={}, transport={"between_machines": "tls"})
    process = WriterActor("writer", settings.model_dump_json(), None)
    with pytest.raises(ConfigurationError, match=r"transport\.certificate: found neither"):
        await process.ensure_started()
    process.close()


def test_refusals_are_counted_by_reason() -> None:
    metrics = Metrics("node", None)
    metrics.connection_refused("no token")
    for reason, count in (("no token", 1.0), ("no TLS", 0.0)):
        found = metrics._registry.get_sample_value("refused_connections_total", {"reason": reason})
        assert found == count


def test_files_are_those_of_the_settings_or_of_rays_own_tls(tmp_path: Path) -> None:
    ray = {"RAY_TLS_SERVER_CERT": "/r/c", "RAY_TLS_SERVER_KEY": "/r/k", "RAY_TLS_CA_CERT": "/r/a"}
    assert [each.path for each in Settings().tls_files(ray)] == ["/r/c", "/r/k", "/r/a"]
    own = Settings.load(environ={"THORNBACK_TRANSPORT__KEY": "/own/k"})
    found = own.tls_files(ray)
    assert [each.path for each in found] == ["/r/c", "/own/k", "/r/a"]
    assert found[1].origin == "environment variable THORNBACK_TRANSPORT__KEY"


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.write("one")
    _, other = authority.write("two")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for given, said in (
        (("", key, authority.file), r"transport\.certificate: found neither it nor .*SERVER_CERT"),
        ((certificate, "", authority.file), r"transport\.key: found neither it nor .*SERVER_KEY"),
        ((certificate, key, ""), r"transport\.ca: found neither it nor .*CA_CERT"),
        ((tmp_path / "none", key, authority.file), "No such file"),
        ((nonsense, key, authority.file), "no PEM of a certificate"),
        ((certificate, nonsense, authority.file), "no PEM of a key"),
        ((certificate, other, authority.file), "the key of another certificate"),
        ((certificate, key, nonsense), "no PEM of certificates"),
    ):
        names = ("certificate", "key", "ca")
        ray = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
        files = [
            TlsFile(name, str(path), f"environment variable {variable}")
            for name, path, variable in zip(names, given, ray, strict=True)
        ]
        with pytest.raises(ConfigurationError, match=said):
            Certificates(lambda found=files: found).newest()  # type: ignore[misc]
