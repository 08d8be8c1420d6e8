"""What listens on loopback alone, reached from other machines."""

import asyncio
import threading


def relay(address: str, port: int) -> None:
    """From now on `port` of this machine's loopback answers at `address`, too."""
    listening = threading.Event()
    threading.Thread(
        target=lambda: asyncio.run(_relay(address, port, listening)), daemon=True
    ).start()
    listening.wait()


async def _relay(address: str, port: int, listening: threading.Event) -> None:
    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copied(reader, there_writer), _copied(there_reader, writer))

    server = await asyncio.start_server(taken, address, port)
    listening.set()
    await server.serve_forever()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(64 * 1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # either side may be killed: the other one hears of it
    finally:
        writer.close()
