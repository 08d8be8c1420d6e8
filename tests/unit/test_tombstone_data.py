"""What an erased event leaves is no data of a new one: readers would skip that."""

import json
from typing import Any

import msgspec
import pytest
from pydantic import ConfigDict, Field

from actors.event import TOMBSTONE, DeviceEvent, Event, Kind
from runtime.driver.publishing import publish_fields
from runtime.processing.evaluation import StepFailed
from runtime.wire.commands import DATA
from runtime.wire.publications import read_publication
from store.errors import InvalidData
from store.rows.json_text import encode_payload
from streams.program import Fact, Output
from tests.contracts.appending import history, made_event
from tests.programs import Echo
from tests.unit.test_evaluation import Evaluated, logged

ERASED = "that of an event which was erased"


class Sealed(DeviceEvent):
    """Is written as it is called."""

    model_config = ConfigDict(serialize_by_alias=True)

    value: Any = Field(alias="$erased")


def published(**data: Any) -> Event:
    return msgspec.structs.replace(made_event("sensor/s"), data=data)


def test_it_is_refused_where_it_is_published() -> None:
    with pytest.raises(InvalidData, match=ERASED):
        publish_fields(published(**TOMBSTONE))


@pytest.mark.parametrize("text", [b'{"$erased":true}', b' {"\\u0024erased" : true }'])
def test_it_is_refused_whoever_sends_it(text: bytes) -> None:
    fields = publish_fields(published(**{"$erased": False}))
    sent = fields[DATA]
    with pytest.raises(InvalidData, match=ERASED):
        read_publication("sensor/s", {**sent, "data": text})


def test_it_is_refused_of_an_actor() -> None:
    with pytest.raises(InvalidData, match=ERASED):
        encode_payload("sealed", Sealed.model_validate({"$erased": True}))


async def test_it_is_refused_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    store, events = await logged(*history("device/one", 1))
    program = Echo("echo", ())
    fact = Fact("echoed", Kind.BUSINESS, dict(TOMBSTONE))
    step = program.step

    def forges(*given: Any) -> Any:
        change = step(*given)
        return change._replace(outputs=[Output(fact, one.at_us) for one in change.outputs])

    monkeypatch.setattr(program, "step", forges)
    with pytest.raises(StepFailed) as failed:
        await Evaluated(program, store).take(events)
    assert ERASED in str(failed.value.__cause__)


@pytest.mark.parametrize("value", [1, 1.0, False, "true", [True], None], ids=repr)
def test_what_resembles_it_is_data_like_any_other(value: Any) -> None:
    event = published(**{"$erased": value})
    sent = publish_fields(event)[DATA]
    assert json.loads(read_publication("sensor/s", sent).data) == event.data
    assert json.loads(encode_payload("sealed", Sealed.model_validate(event.data))) == event.data
    assert not event.erased
    assert published(**TOMBSTONE).erased
    assert not published(**TOMBSTONE, more=1).erased
