"""Dockerfile: what a linter says of it, and that it is the image which manifests mean."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.manifests.rendered import OVERLAYS, ROOT, overlay, workloads

DOCKERFILE = (ROOT / "Dockerfile").read_text()
HADOLINT = Path(sys.executable).parent / "hadolint"


def linted(text: str) -> "subprocess.CompletedProcess[str]":
    if not HADOLINT.exists():
        pytest.skip("there is no hadolint")
    return subprocess.run(
        [HADOLINT, "-"], input=text, text=True, check=False, stdout=subprocess.PIPE
    )


def test_the_linter_has_nothing_to_say() -> None:
    assert linted(DOCKERFILE).stdout == ""


def test_the_linter_would_find_a_base_that_may_be_any() -> None:
    mistaken = DOCKERFILE.replace("debian:bookworm-slim", "debian")
    assert mistaken != DOCKERFILE
    assert "DL3006" in linted(mistaken).stdout


def test_it_runs_as_nobody_special_and_has_both_ports() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["1000:1000"]
    assert "EXPOSE 8080 9090\n" in last


@pytest.mark.parametrize("name", OVERLAYS)
def test_its_user_and_version_are_those_of_the_manifests(name: str) -> None:
    [version] = re.findall(r'image\.version="(.+?)"', DOCKERFILE)
    ours = [
        (container["image"], template["spec"]["securityContext"]["runAsUser"])
        for _, template in workloads(overlay(name))
        for container in template["spec"]["containers"]
        if "/thornback:" in container["image"]
    ]
    assert ours
    for image, user in ours:
        assert image.endswith(f":{version}")
        assert user == 1000


def test_every_package_of_the_project_comes_into_it_and_no_secret() -> None:
    allowed = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        pattern.partition(".")[0]
        for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    needed = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert allowed == packages | needed | {"config", "examples"}
    assert all((ROOT / name).exists() for name in allowed)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert "-c constraints.txt" in DOCKERFILE
