"""Where no system is found, what is advised fits the reason."""

import pickle
from types import SimpleNamespace

import pytest
import ray

from runtime.cluster import ray_session
from runtime.cluster.ray_session import NoRay
from runtime.driver import directory_link
from runtime.errors import SystemNotFound
from runtime.settings.settings import Settings
from runtime.system import ActorSystem


@pytest.mark.parametrize(
    "refused",
    [
        NoRay("several Rays of yours are running here (a, b): say which is meant in RAY_ADDRESS"),
        NoRay("the Ray at a does not let this program in: no token"),
        NoRay("nothing is up in /x, but in /", "go there"),
    ],
)
def test_where_no_ray_is_joined_the_remedy_is_that_of_the_reason(
    refused: NoRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join_ray(timeout_s: float, *, stay: bool) -> None:
        raise refused

    monkeypatch.setattr(ray_session, "join_ray", join_ray)
    with pytest.raises(SystemNotFound) as caught:
        ActorSystem.connect("mine", settings=Settings())
    assert refused.reason in str(caught.value)
    assert str(caught.value).endswith(refused.remedy or ")")
    assert "thornback up" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("there", "advice"),
    [
        ([], r"has no system at all\): start one \(`thornback up`"),
        (["fleet"], r"has systems in 'fleet'\): to mean one of those, name it"),
    ],
)
def test_where_other_systems_run_the_namespace_may_be_the_mistake(
    there: list[str], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_actor(name: str, namespace: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr(ray, "get_actor", get_actor)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="a:1"))
    monkeypatch.setattr(directory_link, "namespaces_there", lambda: there)
    with pytest.raises(SystemNotFound, match=advice) as caught:
        directory_link.directory_of("mine")
    assert ("thornback up" in str(caught.value)) == (not there)
