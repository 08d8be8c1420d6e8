"""The example of messages between actors: chargers that share the power of their site."""

from datetime import UTC, datetime

import pytest

from actors.command import Command
from actors.errors import InvalidName
from actors.event import BusinessEvent
from actors.examples.load_management import (
    Charger,
    ChargingStarted,
    GrantPower,
    LimitSet,
    LoadManager,
    PluggedIn,
    PlugIn,
    PowerDenied,
    PowerGranted,
    PowerQueued,
    PowerReleased,
    ReleasePower,
    RequestPower,
    SetLimit,
    Unplug,
    Unplugged,
)
from actors.messages import MessageRefused, MessageSent
from actors.tell import Tell
from store.errors import InvalidData
from store.rows.json_text import encode_json
from store.rows.tells import stored_tell, written_tell
from store.scenario import Scenario

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def asks(charger: str, kw: float, session: int = 1) -> RequestPower:
    return RequestPower(charger=charger, session=session, kw=kw)


def grant(charger: str, kw: float, session: int = 1) -> tuple[PowerGranted, Tell]:
    granted = PowerGranted(charger=charger, session=session, kw=kw)
    return granted, Tell((Charger, charger), GrantPower(session=session, kw=kw))


def queued(charger: str, kw: float, session: int = 1) -> PowerQueued:
    return PowerQueued(charger=charger, session=session, kw=kw)


def test_who_comes_when_there_is_no_more_waits_until_another_unplugs() -> None:
    site = Scenario(LoadManager, "harbour").given(LimitSet(kw=30.0))
    site.when(asks("a", 20.0)).then(queued("a", 20.0), *grant("a", 20.0))
    site.when(asks("b", 20.0)).then(queued("b", 20.0))
    site.when(asks("c", 10.0)).then(queued("c", 10.0))  # not before b, which has come first
    site.when(ReleasePower(charger="a", session=1)).then(
        PowerReleased(charger="a", session=1, kw=20.0), *grant("b", 20.0), *grant("c", 10.0)
    )
    assert site.state.granted_kw == 30.0


def test_a_request_that_can_never_be_granted_is_rejected() -> None:
    site = Scenario(LoadManager, "harbour").given(LimitSet(kw=30.0))
    site.when(asks("a", 31.0)).then_rejected("30 kW in all")


def test_a_release_of_another_session_has_no_effect() -> None:
    site = Scenario(LoadManager, "harbour").given(LimitSet(kw=30.0))
    site.when(asks("a", 20.0, session=2)).then(queued("a", 20.0, 2), *grant("a", 20.0, 2))
    site.when(ReleasePower(charger="a", session=1)).then()


def test_who_waits_and_leaves_gets_nothing() -> None:
    site = Scenario(LoadManager, "harbour").given(LimitSet(kw=10.0))
    site.when(asks("a", 10.0)).when(asks("b", 10.0)).then(queued("b", 10.0))
    site.when(ReleasePower(charger="b", session=1)).then(
        PowerReleased(charger="b", session=1, kw=0.0)
    )
    site.when(SetLimit(kw=20.0)).then(LimitSet(kw=20.0))
    site.when(SetLimit(kw=5.0)).then_rejected("10 kW are granted")


def test_a_charger_charges_with_what_it_was_granted() -> None:
    charger = Scenario(Charger, "c-1")
    charger.when(PlugIn(site="harbour", kw=11.0), at=NOON).then(
        PluggedIn(site="harbour", session=1, kw=11.0),
        Tell((LoadManager, "harbour"), asks("c-1", 11.0)),
    )
    charger.when(GrantPower(session=1, kw=11.0)).then(ChargingStarted(session=1, kw=11.0))
    charger.when(PlugIn(site="harbour", kw=11.0)).then_rejected("a car is plugged in")
    charger.when(Unplug()).then(
        Unplugged(session=1, kw=11.0),
        Tell((LoadManager, "harbour"), ReleasePower(charger="c-1", session=1)),
    )
    charger.when(GrantPower(session=1, kw=11.0)).then()
    charger.when(Unplug()).then_rejected("no car is plugged in")


def test_a_charger_hears_that_it_was_refused() -> None:
    charger = Scenario(Charger, "c-1").given(PluggedIn(site="harbour", session=1, kw=99.0))
    refused = MessageRefused(
        to="load-manager/harbour",
        refused="request-power",
        message={"charger": "c-1", "session": 1, "kw": 99.0},
        error="Rejected",
        reason="the site has 30 kW in all",
    )
    charger.when(refused).then(PowerDenied(session=1, reason="the site has 30 kW in all"))


def test_a_tell_names_whom_it_is_for_in_several_ways() -> None:
    message = ReleasePower(charger="a", session=1)
    expected = Tell((LoadManager, "harbour"), message)
    assert Tell(("load-manager", "harbour"), message) == expected
    assert Tell("load-manager/harbour", message) == expected
    assert hash(Tell("load-manager/harbour", message)) == hash(expected)
    assert Tell("load-manager/quay", message) != expected
    assert (expected == "load-manager/harbour") is False
    assert repr(expected).startswith("Tell('load-manager/harbour', ReleasePower(")


@pytest.mark.parametrize(
    ("to", "error", "says"),
    [
        ((LoadManager, ""), InvalidName, "not empty"),
        ("load-manager", InvalidName, "not empty"),
        ("Load Manager/a", InvalidName, "kebab-case"),
        ((Charger, "a"), TypeError, "Charger does not handle ReleasePower: it handles grant-power"),
        (LoadManager, TypeError, "say whom"),
        (None, TypeError, "say whom"),
    ],
    ids=["no name", "no slash", "no type", "not handled", "a class alone", "nobody"],
)
def test_a_tell_that_can_reach_nobody_is_refused(to: object, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        Tell(to, ReleasePower(charger="a", session=1))


def test_a_tell_carries_a_command() -> None:
    class Happened(BusinessEvent):
        pass

    with pytest.raises(TypeError, match="a Tell carries a Command"):
        Tell((LoadManager, "a"), Happened())  # type: ignore[arg-type]


def test_no_state_has_to_depend_on_messages() -> None:
    assert LoadManager.described().folds(MessageSent.event_type)


def test_a_tell_is_written_as_any_event_and_quickly_where_it_is_easy() -> None:
    class Odd(Command):
        text: str
        number: int
        amount: float = 0.0
        parts: tuple[int, ...] = ()

    odd = [
        Odd(text="plain", number=1),
        Odd(text='ü\u2028"', number=-1, amount=1e300, parts=(1,)),
        Odd(text="x" * 10_000, number=2**70),
    ]
    for message in odd:
        tell = Tell("load-manager/a", message)
        text, sent = stored_tell(tell)
        assert MessageSent.model_validate_json(text) == sent
        assert written_tell(tell)[0] == text
    easy = Tell("load-manager/a", ReleasePower(charger='ü\u2028"', session=2**63))
    text, sent = stored_tell(easy)
    assert text == encode_json(MessageSent.event_type, sent.model_dump())
    for text_of in ("\x00", "\ud800"):
        bad = Tell("load-manager/a", ReleasePower(charger=text_of, session=1))
        with pytest.raises(InvalidData):
            stored_tell(bad)
