"""A call to a machine that vanishes while it is under way: `python -m tests.network.gone FOLDER`
answers on one machine, and with the address that this prints calls it from another, whose network
then ends. Prints how the call has ended.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runtime.settings.settings import TlsFile
from runtime.transport.caller import Caller
from runtime.transport.certificates import Certificates
from runtime.transport.loopback import Address, Server
from runtime.transport.network import Network, NetworkAddress
from tests.machines.namespaces import done

PATIENCE_S = 120.0


def network(folder: Path, host: str) -> Network:
    """A machine's, with its certificate in that folder."""
    named = {"certificate": folder / "one.pem", "key": folder / "one.key", "ca": folder / "ca.pem"}
    files = [TlsFile(key, str(path), "a test") for key, path in named.items()]
    return Network(Certificates(lambda: files), lambda: host)


async def answer(folder: Path, host: str) -> None:
    async def ask(_: bytes) -> bytes:
        print("asked", flush=True)
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await never

    server = Server({"ask": ask}, lambda: "far", network(folder, host))
    machine, port, token, proof, methods, there = await server.address()
    assert there is not None
    print(json.dumps([machine, port, token.hex(), proof.hex(), methods, there]), flush=True)
    await asyncio.get_running_loop().create_future()


async def call(folder: Path, host: str, described: str) -> str:
    machine, port, token, proof, methods, there = json.loads(described)
    address = Address(
        machine, port, bytes.fromhex(token), bytes.fromhex(proof), tuple(methods),
        NetworkAddress(*there),
    )  # fmt: skip

    async def told() -> Address:
        return address

    handle: Any = SimpleNamespace(address=SimpleNamespace(remote=told))
    own = network(folder, host)
    caller = Caller(handle, lambda: "near", lambda: own)
    asked = asyncio.ensure_future(caller.call("ask", b"?"))
    await asyncio.to_thread(sys.stdin.readline)  # it has arrived
    await asyncio.to_thread(done, "ip", "link", "set", "eth0", "down")
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asked
    except ConnectionError:
        return "ConnectionError"
    return "an answer"


if __name__ == "__main__":
    here, *more = sys.argv[2:]
    if more:
        print(asyncio.run(call(Path(sys.argv[1]), here, *more)))
    else:
        asyncio.run(answer(Path(sys.argv[1]), here))
