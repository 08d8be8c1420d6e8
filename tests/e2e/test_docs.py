"""The documents keep to what there is: links, file names, tests, targets and settings."""

import re
import subprocess
from pathlib import Path

import pytest

from runtime.settings.settings import Settings
from tests.e2e.place import ROOT
from tests.e2e.readme import README, blocks, files

pytestmark = pytest.mark.e2e

DOCUMENTS = sorted({ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")})
IDS = [str(document.relative_to(ROOT)) for document in DOCUMENTS]

EXAMPLES = sorted(ROOT.glob("examples/**/*.py"))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSIDE = re.compile(
    r"^[ >]*(?:from|import) +"
    # An example may take the actors of another one.
    r"(?!actors\.examples\.)(?:actors|gateways|jobs|runtime|store|streams)\b.*",
    re.MULTILINE,
)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_QUOTED = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]*(?:::\w+)?")
_ROOMS = ("actors/", "streams/", "store/", "runtime/", "gateways/", "jobs/", "thornback/", "tests/",
          "docs/", "examples/", "config/", "benchmarks/")  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for target in _LINK.findall(_CODE.sub("", document.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_every_file_and_every_test_that_is_named_exists(document: Path) -> None:
    missing = []
    for name in _QUOTED.findall(_CODE.sub("", document.read_text())):
        if name.startswith(_ROOMS) and _FILE.fullmatch(name):
            file, _, test = name.partition("::")
            path = ROOT / file
            if not path.exists() or (test and f"def {test}(" not in path.read_text()):
                missing.append(name)
    assert missing == []


def test_the_guarantees_are_all_there_and_each_names_its_tests() -> None:
    text = (ROOT / "docs" / "semantics.md").read_text()
    guarantees = [int(number) for number in re.findall(r"^## G(\d+)$", text, re.MULTILINE)]
    assert guarantees == [*range(1, 12), 13, 14, 15]
    readme = (ROOT / "README.md").read_text()
    for number in guarantees:
        assert f"[G{number}](docs/semantics.md#g{number})" in readme
        _, _, rest = text.partition(f"\n## G{number}\n")
        section = rest.partition("\n## ")[0]
        assert "**Not promised.**" in section, f"G{number}"
        assert re.search(r"`tests/\w+/\w+\.py::test_\w+`", section), f"G{number}"


def test_architecture_has_every_room_and_every_room_inside_the_runtime() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {folder.parent.relative_to(ROOT) for folder in ROOT.glob("*/__init__.py")}
    rooms |= {folder.parent.relative_to(ROOT) for folder in ROOT.glob("runtime/*/__init__.py")}
    rooms -= {Path("benchmarks")}  # above all rooms, like the tests
    assert {str(room) for room in rooms if f"`{room}/`" not in text} == set()
    drawn = (ROOT / "docs" / "architecture.svg").read_text()
    named = set(re.findall(r"[a-z]+(?:/[a-z]+)+/(?=<)", drawn))
    assert {"runtime/cluster/", "runtime/driver/", "runtime/host/", "runtime/partition/"} <= named
    assert {folder for folder in named if not (ROOT / folder).is_dir()} == set()


def test_the_readme_and_make_help_name_the_same_targets() -> None:
    helped = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    targets = set(re.findall(r"^  make (\w+) +\w", helped, re.MULTILINE))
    shown = {line for block in blocks("sh") for line in block.splitlines()}
    assert {match[1] for line in shown if (match := re.match(r"make (\w+)", line))} == targets


def test_a_settings_key_that_is_named_is_one() -> None:
    sections = {name: field.default for name, field in Settings.model_fields.items()}
    keys = {
        f"{name}.{key}" for name, section in sections.items() for key in type(section).model_fields
    }
    named = set()
    for document in DOCUMENTS:
        for quoted in _QUOTED.findall(_CODE.sub("", document.read_text())):
            key = quoted.partition(" =")[0]
            if re.fullmatch(r"[a-z_]+\.[a-z_]+", key) and key.partition(".")[0] in sections:
                named.add(key)
    assert named
    assert named <= keys


def test_the_readmes_other_code_runs() -> None:
    snippets = [code for code in blocks("python")[1:] if code not in files().values()]
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), {})


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_what_is_shown_to_a_user_imports_from_the_facade_alone(document: Path) -> None:
    shown = "".join(code for _, code in _BLOCK.findall(document.read_text()))
    assert _INSIDE.findall(shown) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_imports_from_the_facade_alone(example: Path) -> None:
    assert _INSIDE.findall(example.read_text()) == []


def _anchors(file: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", file.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_figures_beside_others_are_those_of_the_readme() -> None:
    rows = re.findall(r"^\|[^|]+\| (`[^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    measured = {
        key: figure.strip().partition(" ")[0]
        for keys, figures in rows
        for key, figure in zip(re.findall(r"`(\w+)`", keys), figures.split(";"), strict=False)
    }
    page = (ROOT / "docs" / "comparison.md").read_text()
    named = re.findall(r"`(\w+_per_s)`", page)
    assert len(named) > 6
    assert [key for key in named if measured[key] not in page] == []
