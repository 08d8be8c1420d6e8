"""The library dbos, durable workflows on Postgres, on the same machine and database.

Two figures. One workflow and one transaction a command: the workflow's id is the command's
identity, its recorded result the reply, its row the fact, as with Thornback. And the library
at its best with bulk data: thousands of commands are the input of one workflow and become
rows in one transaction, which has one identity and one result for all of them.

The library keeps one instance a process, with threads and a log of its own: it runs in a
process that ends afterwards. What is really in Postgres is counted; starting is never timed.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from dbos import DBOS, SQLAlchemyDatasource, WorkflowHandle
from sqlalchemy import text

from benchmarks.schema import execute, require_stored, schema

SCHEMA = "baseline_dbos"
TABLE = f"""
    CREATE TABLE {SCHEMA}.readings (
        device  text             NOT NULL,
        celsius double precision NOT NULL,
        room    text             NOT NULL,
        number  bigint           NOT NULL
    )
"""
ROOM = "room 101, second floor"
DEVICES = 1_000
WARM_UPS = 3  #: workflows that are not timed
THREADS = 4  #: of commands one at a time: two or eight made it no faster on 2 cores
AHEAD = 2  #: bulk workflows at once: four made it no faster

Columns = dict[str, list[Any]]
Done = tuple[int, float, int]  #: commands, the seconds they took, commands of the warm-up


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: `batch` commands a workflow, until `commands` or `limit_s`."""

    url: str
    batch: int
    commands: int
    limit_s: float


def dbos_batched_per_s(
    url: str, *, batch: int = 5_000, commands: int = 500_000, limit_s: float = 5.0
) -> float:
    """Durable commands per second, `batch` of them the input of one workflow, inserted by
    one statement in one transaction: without an identity, a reply or an order for each.
    """
    return _dbos_per_s(_batched, Load(url=url, batch=batch, commands=commands, limit_s=limit_s))


def dbos_single_per_s(url: str, *, commands: int = 3_000, limit_s: float = 5.0) -> float:
    """Durable commands per second, each a workflow of one transaction, four under way."""
    return _dbos_per_s(_single, Load(url=url, batch=1, commands=commands, limit_s=limit_s))


def _dbos_per_s(run: Callable[[Load], Done], load: Load) -> float:
    context = multiprocessing.get_context("spawn")  # a forked Ray driver could hang
    with schema(load.url, SCHEMA):
        execute(load.url, TABLE)
        with ProcessPoolExecutor(1, context) as pool:
            done, elapsed_s, warm_up = pool.submit(run, load).result()
        require_stored(load.url, SCHEMA, "readings", warm_up + done)
    return done / elapsed_s


def _batched(load: Load) -> Done:
    source = SQLAlchemyDatasource.create(load.url)
    insert = text(
        f"INSERT INTO {SCHEMA}.readings SELECT * FROM unnest(CAST(:devices AS text[]),"
        " CAST(:celsius AS double precision[]), CAST(:rooms AS text[]), CAST(:numbers AS bigint[]))"
    )

    @source.transaction(isolation_level="READ COMMITTED")
    def insert_all(commands: Columns) -> int:
        source.sql_session().execute(insert, commands)
        return len(commands["numbers"])

    @DBOS.workflow()
    def take_readings(commands: Columns) -> int:
        return insert_all(commands)

    with _launched(load):
        warm_up = sum(take_readings(_columns(0, load.batch)) for _ in range(WARM_UPS))
        under_way: deque[WorkflowHandle[int]] = deque()
        done = sent = 0
        started_s = time.perf_counter()
        while sent < load.commands and time.perf_counter() < started_s + load.limit_s:
            under_way.append(DBOS.start_workflow(take_readings, _columns(sent, load.batch)))
            sent += load.batch
            if len(under_way) >= AHEAD:
                done += under_way.popleft().get_result()
        done += sum(handle.get_result() for handle in under_way)
        return done, time.perf_counter() - started_s, warm_up


def _columns(start: int, size: int) -> Columns:
    """So many commands, a list a field: the input of one workflow."""
    numbers = list(range(start, start + size))
    return {
        "devices": [f"meter/{number % DEVICES:04}" for number in numbers],
        "celsius": [number / 8 for number in numbers],
        "rooms": [ROOM] * size,
        "numbers": numbers,
    }


def _single(load: Load) -> Done:
    source = SQLAlchemyDatasource.create(load.url)
    insert = text(f"INSERT INTO {SCHEMA}.readings VALUES (:device, :celsius, :room, :number)")

    @source.transaction(isolation_level="READ COMMITTED")
    def insert_one(device: str, celsius: float, room: str, number: int) -> int:
        reading = {"device": device, "celsius": celsius, "room": room, "number": number}
        source.sql_session().execute(insert, reading)
        return number

    @DBOS.workflow()
    def take_reading(device: str, celsius: float, room: str, number: int) -> int:
        return insert_one(device, celsius, room, number)

    numbers = count()
    deadline_s = 0.0

    def keep_sending() -> int:
        done = 0
        while (number := next(numbers)) < load.commands and time.perf_counter() < deadline_s:
            take_reading(f"meter/{number % DEVICES:04}", number / 8, ROOM, number)
            done += 1
        return done

    with _launched(load), ThreadPoolExecutor(THREADS) as threads:
        for number in range(10 * WARM_UPS):
            take_reading(f"meter/{number % DEVICES:04}", number / 8, ROOM, number)
        started_s = time.perf_counter()
        deadline_s = started_s + load.limit_s
        sending = [threads.submit(keep_sending) for _ in range(THREADS)]
        done = sum(each.result() for each in sending)
        return done, time.perf_counter() - started_s, 10 * WARM_UPS


@contextmanager
def _launched(load: Load) -> Iterator[None]:
    """The library with its own tables in the same database; its workflows are known."""
    DBOS(
        config={
            "name": "thornback-bench",
            "system_database_url": load.url,
            "dbos_system_schema": f"{SCHEMA}_system",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()
