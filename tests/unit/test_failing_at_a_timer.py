"""An actor that fails at what a timer fires: what becomes of it is told as of that moment."""

import pytest

from actors.supervision import RestartPolicy, Supervision
from runtime.errors import HandlerFailed
from runtime.wire.error_codec import decode_error
from tests.unit.hosting import Hosting
from tests.unit.test_timers_in_a_host import SECOND, Bell, Strict, begun, fire, types, wound


class Resting(Bell):
    """Rests when it fails."""

    actor_type = "resting"
    supervision = Supervision(policy=RestartPolicy(backoff_s=1.0, jitter=0.0))


class Fused(Bell):
    """All of them are stopped when one fails."""

    actor_type = "fused"
    supervision = Supervision(strategy="stop", scope="all-for-one")


async def fires_late(host: Hosting, source: str) -> None:
    """The timer is sent at its time, and is taken seconds later."""
    set_ = await wound(host, source, how="break")
    host.now_us += 3 * SECOND
    await fire(host, set_)


@pytest.mark.parametrize(("actor", "told"), [(Resting, "actor-failed"), (Fused, "actor-stopped")])
async def test_what_becomes_of_an_actor_is_told_no_earlier_than_its_timer_fired(
    actor: type[Bell], told: str
) -> None:
    host = await begun(actor)
    source = f"{actor.actor_type}/b"
    await fires_late(host, source)
    log = await host.log(source)
    assert types(log) == ["wound", "timer-set", "timer-fired", told]
    assert [event.timestamp_us for event in log[2:]] == [host.now_us] * 2


async def test_it_is_told_of_the_others_of_its_group_as_of_then_as_well() -> None:
    host = await begun(Fused)
    await wound(host, "fused/other")
    await fires_late(host, "fused/b")
    stopped = (await host.log("fused/other"))[-1]
    assert (stopped.event_type, stopped.timestamp_us) == ("actor-stopped", host.now_us)
    assert stopped.data["message_type"] == "ring"


async def test_a_failure_is_told_of_the_message_that_was_to_fire() -> None:
    host = await begun(Strict)
    set_ = await wound(host, "strict/b")
    host.now_us += SECOND
    error = decode_error((await fire(host, set_)).errors[0])
    assert isinstance(error, HandlerFailed)
    assert error.message_type == "ring"
