"""A system on two machines whose calls go past Ray, looked at from one of them.

Prints, as JSON, what was on the wire, who was let in, and what a renewal of the certificates has
changed. A program of its own, because it runs on the first of the machines.
"""

import json
import shutil
import socket
import ssl
import sys
from typing import Any

import ray

from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus
from runtime.transport.certificates import Certificates
from runtime.transport.loopback import Address
from tests.e2e.machine_that_goes import LIMIT_S, eventually, statuses
from tests.integration.devices import Add, Counter
from tests.machines.namespaces import Machine
from tests.machines.pair import Pair, pair
from tests.network.wire import reading
from tests.unit.certificates import Authority

#: What commands say, as a part of their actors' names.
MARKER = "said-in-the-clear"


class Run:
    """One system, its hosts on the other machine."""

    def __init__(self, both: Pair, system: ActorSystem) -> None:
        self._both, self._system = both, system

    def said(self) -> bool:
        """Was a command on the wire as it is?"""
        self._tell()
        # On a machine that is busy a connection may take longer than is waited for.
        eventually(self._past_ray)
        with reading("eth0") as wire:
            self._tell()
        assert len(wire.read) > 10_000, "nothing was read"
        return wire.has(MARKER.encode())

    def _tell(self) -> None:
        for number in range(40):
            self._system.actor(Counter, f"{MARKER}-{number}").tell(Add())
        assert self._system.flush().result() == []

    def _past_ray(self) -> bool:
        self._system.actor(Counter, "device").ask(Add()).result()
        network = self._system.connection.world.network
        return network is None or not network.through_ray

    def through_ray(self) -> list[str]:
        """What processes say of whom they call through Ray."""
        found = [each for each in statuses(self._system) if isinstance(each, ProcessStatus)]
        return [said for each in found for said in each.through_ray]

    def strangers(self) -> dict[str, str]:
        """What somebody hears who is not of the cluster, at a host; which goes on."""
        address = self._host()
        other = Authority(self._both.folder, "other")
        certificate, key = other.write("stranger")
        nobody = _trusting_everybody()
        stranger = _trusting_everybody()
        stranger.load_cert_chain(certificate, key)
        old = _trusting_everybody()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        said = {
            "plain text": _heard(address, None),
            "no certificate": _heard(address, nobody),
            "another CA": _heard(address, stranger),
            "an older TLS": _heard(address, old),
        }
        self.said()
        return said

    def renewed(self) -> bool:
        """Is a certificate shown that was put in place while all runs? And is it taken?"""
        for name, used in self._both.certificates.items():
            newer = self._both.authority.write(f"newer-{name}")
            for source, target in zip(newer, used, strict=True):
                shutil.copy(source, target)
        expected = ssl.PEM_cert_to_DER_cert(self._both.certificates["far"][0].read_text())
        shown = _shown(self._host())
        before = self._pid()
        ray.kill(ray.get_actor("host-0", namespace=self._system.namespace), no_restart=False)
        eventually(lambda: self._pid() not in (None, before))
        self.said()
        return shown == expected

    def _host(self) -> Address:
        host = ray.get_actor("host-0", namespace=self._system.namespace)
        found: Address = ray.get(host.address.remote(), timeout=LIMIT_S)
        return found

    def _pid(self) -> int | None:
        for each in statuses(self._system):
            if isinstance(each, ProcessStatus) and each.name == "host-0":
                return each.pid
        return None


def _trusting_everybody() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def _heard(address: Address, tls: ssl.SSLContext | None) -> str:
    """What is answered to a greeting with the right token, as on loopback."""
    assert address.network is not None
    try:
        with socket.create_connection(address.network, timeout=LIMIT_S) as plain:
            spoken: Any = plain if tls is None else tls.wrap_socket(plain)
            spoken.sendall(b"\0\0\0\x10\0\0\0\0\0" + address.token)
            answer: bytes = spoken.recv(100)
            return answer.hex()
    except OSError as error:  # ssl's are, too
        return type(error).__name__


def _shown(address: Address) -> bytes | None:
    assert address.network is not None
    tls = Certificates(Settings().tls_files).newest().client
    with socket.create_connection(address.network, timeout=LIMIT_S) as plain:
        return tls.wrap_socket(plain).getpeercert(binary_form=True)


def played(both: Pair, way: str) -> dict[str, Any]:
    """What became of it."""
    given: dict[str, Any] = both.settings(hosts="far", core="near")
    given["actor_system"] |= {
        "hosts": 1, "namespace": way, "actor_modules": ["tests.integration.devices"],
        "actor_timeout_ms": 60_000,
    }  # fmt: skip
    settings = Settings.load(transport={"between_machines": way}, **given)
    with ActorSystem.launch(settings, timeout_s=LIMIT_S, take_over=True) as system:
        run = Run(both, system)
        found: dict[str, Any] = {"said": run.said()}
        if way == "tls":
            found["strangers"] = run.strangers()
            found["renewed"] = run.renewed()
            found["through_ray"] = run.through_ray()
        system.drain().result()
    return found


def main() -> None:
    with pair(*(Machine(**each) for each in json.loads(sys.argv[1]))) as both:
        print(json.dumps({way: played(both, way) for way in ("tls", "ray")}))


if __name__ == "__main__":
    main()
