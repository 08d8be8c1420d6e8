"""The console in a real browser, over a real system into which real flights are replayed.

With SCREENSHOTS_INTO the pictures of the README are put into that folder (`make screenshots`).
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateways.tokens import new_token
from gateways.web import known_tokens
from jobs.flights.air_traffic import AirTraffic
from jobs.replay import Refs, sends
from runtime.system import ActorSystem
from tests.integration.browsing import CHROMIUM, PATIENCE_MS, Way, page_of
from tests.integration.devices import Add, Claim, Counter, Fail
from tests.integration.systems import Launcher, log_of
from tests.integration.test_gateway import facts_of
from tests.tokens_in_memory import MemoryTokens
from tests.unit.http import serving

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
pytest.importorskip("playwright", reason="the dev extra brings playwright")

WEB: dict[str, Mapping[str, Any]] = {
    "gateway": {"enabled": True, "port": 0},
    "actor_system": {"actor_modules": ["tests.integration.devices"], "hosts": 2},
}
#: Days that are replayed before anybody looks; the next one is, while somebody does.
DAYS = 3
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
DESK = {"viewport": {"width": 1200, "height": 760}, "color_scheme": "light"}


@pytest.fixture(scope="module")
def web(cluster: None, new_database: Any) -> Iterator[ActorSystem]:
    """A system that has the first days of the year."""
    launcher = Launcher(new_database)
    system = launcher(**WEB)
    replay(system, DAYS)
    yield system
    launcher.drain_all()


def replay(system: ActorSystem, days: int) -> None:
    """Replay so many days; those that were are repeats, and change nothing."""
    refs: Refs = {}
    result = system.tell_many(sends(system, AirTraffic(days), refs))
    assert not result.failed, result


@asynccontextmanager
async def looking(system: ActorSystem, where: str = "", **context: Any) -> AsyncIterator[Any]:
    """A page of the console."""
    address = (await asyncio.to_thread(facts_of, system)).address
    async with page_of(f"{address}/{where}", **context) as page:
        yield page


async def test_the_fleet_is_counted_and_a_device_is_found_by_its_name(web: ActorSystem) -> None:
    ((events,),) = log_of(web, "SELECT count(*) FROM events")
    ((version,),) = log_of(web, "SELECT max(version) FROM events WHERE source = 'aircraft/N14228'")
    async with looking(web) as page:
        cards = page.get_by_role("list", name="Types")
        await cards.get_by_text("aircraft").wait_for()
        await page.get_by_text(f"{events:,} events").wait_for()
        assert await page.title() == "Fleet · Thornback"
        await page.keyboard.press("/")
        await page.keyboard.type("N1422")
        link = page.get_by_role("link", name="N14228")
        await link.wait_for()
        await link.press("Enter")
        await page.get_by_role("heading", name="N14228").wait_for()
        last = page.locator(".timeline > li").first
        await last.wait_for()
        assert await last.get_attribute("data-version") == str(version)
        await last.locator("summary").press("Enter")
        await last.get_by_text("node-001.host-").wait_for()  # its clock
        await last.get_by_text("all of it began with").wait_for()  # its causes


async def test_a_chart_has_a_point_for_each_value(web: ActorSystem) -> None:
    ((events,),) = log_of(web, "SELECT count(*) FROM events WHERE source = 'weather-station/JFK'")
    async with looking(web, "#/device/weather-station/JFK") as page:
        await page.get_by_label("What is drawn").select_option("weather-observed: temperature_f")
        assert await page.locator(".chart").get_attribute("data-points") == str(events)
        drawn = page.get_by_role("img", name="weather-observed: temperature_f")
        assert f"{events} points" in await drawn.get_attribute("aria-label")
        # In a different colour where the theme is another one, so it is drawn, and anew.
        before = await drawn.screenshot()
        await page.get_by_role("button", name="Light or dark").click()
        await page.get_by_role("button", name="Light or dark").click()
        assert await drawn.screenshot() != before


async def test_live_events_arrive_and_a_cut_connection_comes_back_without_a_gap(
    web: ActorSystem,
) -> None:
    parts = urlsplit((await asyncio.to_thread(facts_of, web)).address)
    way = Way(parts.hostname or "", parts.port or 0)
    counter = web.actor(Counter, "live")
    query = "types=added&sources=counter/live"
    async with page_of(f"{await way.open()}/#/live?{query}") as page:
        state = page.get_by_role("status").filter(has_text="connected")
        await state.wait_for()
        received = page.locator("output").first
        for number in range(3):
            await counter.ask(Add(amount=number))
        await expect_text(received, "3")
        await way.cut()
        await page.get_by_text("comes back without a gap").wait_for()
        for number in range(3, 10):
            await counter.ask(Add(amount=number))
        await way.open()
        await expect_text(received, "10")
        await counter.ask(Add(amount=10))
        await expect_text(received, "11")
        assert await amounts(page) == list(range(10, -1, -1))
        # A pause is a cut that was asked for.
        await page.get_by_role("button", name="Pause").click()
        for number in range(11, 14):
            await counter.ask(Add(amount=number))
        assert await received.inner_text() == "11"
        await page.get_by_role("button", name="Go on").click()
        await expect_text(received, "14")
        assert await amounts(page) == list(range(13, -1, -1))
    await way.cut()


async def test_a_replay_is_seen_while_it_runs_and_nothing_of_it_is_missed(
    web: ActorSystem,
) -> None:
    new = flights(DAYS + 1) - flights(DAYS)
    async with looking(web, "#/live?types=flight-*", **PHONE) as page:
        await page.get_by_role("status").filter(has_text="connected").wait_for()
        await asyncio.to_thread(replay, web, DAYS + 1)
        await expect_text(page.locator("output").first, f"{new:,}")
        assert await page.locator(".events tbody tr").count() == min(new, 200)


async def test_the_system_shows_its_processes_and_its_settings(web: ActorSystem) -> None:
    async with looking(web, "#/system") as page:
        processes = page.get_by_role("region", name="Processes")
        for name in ("directory", "writer", "bus", "host-0", "host-1", "gateway-0"):
            await processes.get_by_role("rowheader", name=name, exact=True).wait_for()
        await page.get_by_text("6 processes, all well").wait_for()
        await page.get_by_label("Find a setting").fill("actor_system.hosts")
        setting = page.get_by_role("region", name="Settings").get_by_role("row").last
        assert (await setting.inner_text()).split() == ["actor_system.hosts", "2", "argument"]


async def test_what_failed_is_shown_with_the_line_of_its_users_code(web: ActorSystem) -> None:
    for sent in (Claim(owner="one"), Claim(owner="two"), Fail()):
        web.actor(Counter, "c").tell(sent)
    assert len(await web.flush()) == 2
    async with looking(web, "#/failures") as page:
        rejected = page.locator(".failure").filter(has_text="counter: claim")
        await rejected.get_by_text("claimed by one").wait_for()
        assert "devices.py:" in await rejected.locator(".frames").inner_text()
        await page.get_by_label("Show").select_option("failed")
        (failed,) = await page.locator(".failure").all_inner_texts()
        assert "ZeroDivisionError on request" in failed
        assert ", in fail" in failed


@pytest.mark.parametrize("look", [PHONE, DESK], ids=["telephone", "desk"])
async def test_every_page_fits_its_window_and_names_all_that_can_be_used(
    web: ActorSystem, look: Any
) -> None:
    async with looking(web, **look) as page:
        web.actor(Counter, "c").tell(Fail())
        await web.flush()
        for where in ("fleet", "device/aircraft/N14228", "live", "system", "failures"):
            await page.evaluate("where => { location.hash = `#/${where}` }", where)
            await page.locator(f"main.page-{where.partition('/')[0]} h1").wait_for()
            if where != "live":  # where nothing comes now
                shown = page.locator("main :is(tbody tr, .timeline summary, .failure)")
                await shown.first.wait_for()
            assert await page.evaluate(_UNNAMED) == []
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
            assert await page.locator("h1").count() == 1


async def test_a_token_is_asked_for_and_kept_out_of_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = MemoryTokens()
    monkeypatch.setattr(known_tokens, "table_of", lambda _: table)
    wrong, reader = new_token(os.urandom), table.make("read")
    async with (
        serving(gateway={"tokens_required": True}) as client,
        page_of(f"{client.address}/") as page,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for token in (wrong, reader):
            await page.get_by_role("textbox", name="Token").fill(token)
            await page.get_by_role("button", name="Go on").click()
            if token == wrong:
                await page.get_by_text("That token is not known").wait_for()
        await page.get_by_text("0 devices").wait_for()
        await page.get_by_role("link", name="System").click()
        await page.get_by_text("it takes the scope 'observe'").first.wait_for()
        await page.reload()  # the tab has kept it
        await page.get_by_text("it takes the scope 'observe'").first.wait_for()
        await page.get_by_role("button", name="Forget the token").click()
        await page.get_by_role("dialog").wait_for()
        assert not [each for each in asked if "thb_" in each]


@pytest.mark.skipif("SCREENSHOTS_INTO" not in os.environ, reason="no pictures are asked for")
async def test_pictures_for_the_readme(web: ActorSystem) -> None:
    folder = Path(os.environ["SCREENSHOTS_INTO"])
    await asyncio.to_thread(replay, web, 21)
    pages = {"console-fleet": "#/fleet/aircraft", "console-device": "#/device/weather-station/JFK"}
    for name, where in pages.items():
        async with looking(web, where, **DESK) as page:
            await page.locator("main :is(tbody tr, .timeline summary)").first.wait_for()
            if "fleet" in name:
                await page.get_by_text(re.compile(r"[0-9] events$")).first.wait_for()
                await page.get_by_text("so far").wait_for(state="detached")
            else:
                await page.get_by_label("What is drawn").select_option(
                    "weather-observed: temperature_f"
                )
            assert len(await page.screenshot(path=folder / f"{name}.png")) < 300_000


#: What can be used and has no name that a screen reader could say.
_UNNAMED = """() => [...document.querySelectorAll("a, button, input, select, summary")]
    .filter(each => each.checkVisibility() && !(each.getAttribute("aria-label")
        || each.labels?.length || each.textContent.trim()))
    .map(each => each.outerHTML)"""


def flights(days: int) -> int:
    """Events of flights that so many days have."""
    expected = AirTraffic(days).expected
    return sum(count for name, count in expected.items() if name.startswith("flight-"))


async def amounts(page: Any) -> list[int]:
    """What the events that are shown have added, the latest first."""
    texts = await page.locator(".events tbody .gist").all_inner_texts()
    return [int(each.removeprefix("amount ")) for each in texts]


async def expect_text(locator: Any, text: str) -> None:
    """Wait until something says exactly this."""
    from playwright.async_api import expect  # noqa: PLC0415 - only where it is installed

    await expect(locator).to_have_text(text, timeout=PATIENCE_MS)
