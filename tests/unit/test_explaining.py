"""Explanations as they are looked at: on a terminal, as a picture, over HTTP, and as JSON."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
from rich.console import Console

from actors.clock import VectorClock
from actors.event import Event
from jobs.explaining.svg import svg_of
from jobs.explaining.tree import tree_of
from jobs.whole_files import written_whole
from store.causality import Explanation
from store.memory import MemoryEventStore
from tests.contracts.appending import Log
from tests.unit.http import Client, serving
from tests.unit.test_causality import Story, generations
from tests.unit.web_devices import Boiler, Heat


@pytest.fixture
async def story() -> Story:
    return Story(await Log.open(MemoryEventStore()))


def printed(explanation: Explanation) -> list[str]:
    """The lines of a tree."""
    console = Console(file=io.StringIO(), width=300, highlight=False, no_color=True)
    console.print(tree_of(explanation))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


async def story_of_an_airport(story: Story) -> tuple[Explanation, list[Event], UUID]:
    command = uuid4()
    [flight] = await story.command("flight/1", command=command, vector_clock=VectorClock({"a": 1}))
    congested = await story.caused(
        flight, "airport/jfk", vector_clock=VectorClock({"a": 1, "b": 1})
    )
    alarm = await story.caused(congested, "alarm/[red]", vector_clock=VectorClock({"a": 1, "b": 2}))
    beside = await story.caused(flight, "weather/jfk", vector_clock=VectorClock({"a": 2}))
    events = [flight, congested, alarm, beside]
    return await story.explain(congested), events, command


async def test_a_tree_has_each_event_below_its_cause_and_marks_the_one_asked_for(
    story: Story,
) -> None:
    found, _, command = await story_of_an_airport(story)
    lines = printed(found)
    assert lines[0] == f"command {command}"
    first, second, third, fourth = (line.index("── ") for line in lines[1:])
    assert first < second == fourth < third
    assert lines[2].endswith("<- this one")
    assert "alarm/[red]" in lines[3]
    assert lines[4].endswith(" concurrent")
    assert sum("this one" in line for line in lines) == 1


async def test_what_follows_from_nothing_in_the_log_says_so(story: Story) -> None:
    unheard = uuid4()
    event = await story.event("a/1", causation_id=unheard)
    assert printed(await story.explain(event))[0] == (
        f"{unheard}, which is no event in this explanation"
    )
    alone = await story.event("a/2")
    assert printed(await story.explain(alone))[0] == "no cause is named"


async def test_a_picture_is_xml_with_every_event_and_nothing_of_the_data_breaks_it(
    story: Story,
) -> None:
    nasty = {"data": {"<b>": "]]>&\"' \x1b"}, "vector_clock": VectorClock({"z": 1})}
    [first] = await story.command("a/<&>", **nasty)  # type: ignore[arg-type]
    await story.caused(first, "b/\x01\ufffe", vector_clock=VectorClock({"y": 1}))
    found = await story.explain(first)
    picture = ElementTree.fromstring(svg_of(found))
    namespace = "{http://www.w3.org/2000/svg}"
    texts = ["".join(text.itertext()) for text in picture.iter(f"{namespace}text")]
    assert len(texts) == 3
    assert "a/<&>" in texts[1]
    assert "this one" in texts[1]
    assert len(list(picture.iter(f"{namespace}circle"))) == 2
    rights = [float(text.get("x", "0")) + len(each) * 7 for text, each in zip(
        picture.iter(f"{namespace}text"), texts, strict=True
    )]  # fmt: skip
    assert float(picture.get("width", "0")) >= max(rights)


async def test_concurrent_events_are_hollow_in_a_picture(story: Story) -> None:
    found, _, _ = await story_of_an_airport(story)
    fills = [
        circle.get("fill")
        for circle in ElementTree.fromstring(svg_of(found)).iter(
            "{http://www.w3.org/2000/svg}circle"
        )
    ]
    assert [fill == "#ffffff" for fill in fills] == [False, False, False, True]


async def test_what_is_left_out_is_in_the_picture(story: Story) -> None:
    found = await story.explain(await generations(story), limit=3)
    assert svg_of(found).count("left out:") == len(found.cuts) == 2


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.svg"
    with written_whole(path) as part:
        part.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"

    def interrupted() -> None:
        with written_whole(path) as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_text() == "one"
    assert [each.name for each in path.parent.iterdir()] == ["file.svg"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


async def test_an_explanation_over_http_is_that_of_the_driver(client: Client) -> None:
    [cause] = await client.system.actor(Boiler, "one").ask(Heat(celsius=40))
    [effect] = await client.system.actor(Boiler, "two").ask(
        Heat(celsius=50), causation_id=cause.id, correlation_id=cause.correlation_id
    )
    found = await client.system.explain(effect)
    assert (found.ancestors, found.origin) == ((cause,), cause.causation_id)
    said = await client.get(f"/v1/events/{effect.id}/explanation")
    assert said.status == 200, said.body
    assert said.json["ancestors"] == [str(cause.id)]
    assert said.json["origin"] == str(cause.causation_id)
    assert [each["event_id"] for each in said.json["events"]] == [str(cause.id), str(effect.id)]
    assert [each["cause"] for each in said.json["events"]] == [None, str(cause.id)]
    assert [each["relation"] for each in said.json["events"]] == ["happened-before", "same"]
    assert said.json["left_out"] == []
    cut = await client.get(f"/v1/events/{cause.id}/explanation?limit=1")
    assert len(cut.json["left_out"]) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/events/{UUID(int=1)}/explanation", 404),
        ("/v1/events/nothing/explanation", 400),
        (f"/v1/events/{UUID(int=1)}/explanation?limit=0", 400),
        (f"/v1/events/{UUID(int=1)}/explanation?limit=10001", 400),
        (f"/v1/events/{UUID(int=1)}/explanation?depth=1", 400),
        (f"/v1/events/{UUID(int=1)}", 404),
    ],
    ids=["unknown", "no-id", "no-limit", "large-limit", "no-parameter", "no-path"],
)
async def test_what_cannot_be_explained_over_http_is_told(
    client: Client, path: str, status: int
) -> None:
    said = await client.get(path)
    assert said.status == status
    assert said.json["status"] == status


async def test_a_driver_is_told_what_can_be_explained(client: Client) -> None:
    with pytest.raises(ValueError, match="an event is named by its id"):
        client.system.explain("boiler/one")
    with pytest.raises(TypeError, match="explain takes an event or its id"):
        client.system.explain(7)  # type: ignore[arg-type]
    for limit in (0, 10_001, True, 1.5):
        with pytest.raises(ValueError, match="limit is a number from 1 to 10,000"):
            client.system.explain(UUID(int=1), limit=limit)  # type: ignore[arg-type]
