"""What the site has beyond the pages in this folder (mkdocs.yml names this file as its hook).

The first page is the README. The reference has every name of the facade, grouped by the room that
it comes from. How-to pages and decisions are listed by what lies in their folders: a new page is in
the navigation by being there.
"""

import re
from collections import defaultdict
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import thornback

DOCS = Path(__file__).parent
ROOT = DOCS.parent

#: The pages of the reference, by the beginning of the module that a name comes from.
REFERENCE = {
    "actors.devices": "Devices that come along",
    "actors": "Actors and events",
    "streams": "Streams",
    "runtime.settings": "Settings and status",
    "runtime.topology": "Settings and status",
    "runtime": "Driving a system",
    "store.scenario": "Actors and events",
    "store": "The log",
}
#: What these do is in their faces, which have no page of their own.
WITH_FACE = ("ActorSystem", "PartitionedSystem")
ERRORS = "Errors"
TESTING = "Testing"
SIMULATING = "Simulating"

_TESTING_PAGE = """\
# Testing

::: thornback.testing
    options: {members: false, show_root_heading: false}

The fixtures, each a function of its name: `scenario`, `memory_system`, `postgres_system`,
`ray_system`, `thornback_postgres`, `thornback_database`, `thornback_ray`.
[How to test](../howto/test.md) shows them.

::: thornback.testing.Scenarios

::: thornback.testing.in_process.InProcessSystem
"""

_SIMULATING_PAGE = """\
# Simulating

::: thornback.simulation
    options: {members: false, show_root_heading: false}

[How to simulate](../howto/simulate.md) shows it.

::: thornback.simulation.simulating.simulated

::: thornback.simulation.simulating.simulate

::: thornback.simulation.night.Night

::: thornback.simulation.trouble.Faults

::: thornback.simulation.night_run.Outcome

::: thornback.simulation.errors.SimulationError

::: thornback.simulation.errors.NotSimulated

::: thornback.simulation.errors.NotRepeatable

::: thornback.simulation.errors.PromiseBroken

::: thornback.simulation.errors.WaitsForEver
"""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```\w+) [^`\n]+$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation."""
    howto = [{_title(page): f"howto/{page.name}"} for page in sorted(DOCS.glob("howto/*.md"))]
    explanation = [
        "deployment.md",
        "console.md",
        "http.md",
        "security.md",
        "architecture.md",
        "semantics.md",
        "reliability.md",
        "performance.md",
        "glossary.md",
    ]
    runbooks = sorted(DOCS.glob("runbooks/*.md"))
    tutorial = ["tutorial.md"] if (DOCS / "tutorial.md").exists() else []
    config.nav = [
        {"Start here": "index.md"},
        *({"Tutorial": page} for page in tutorial),
        {"How to": howto},
        {"Runbooks": [{page.stem: f"runbooks/{page.name}"} for page in runbooks]},
        {"Questions, by error": "faq.md"},
        {"Beside others": "comparison.md"},
        {"Explanation": [*explanation, {"Decisions": ["decisions/index.md", *_decisions()]}]},
        {"Reference": [f"reference/{_slug(title)}.md" for title in reference_pages()]},
        {"Changelog": "changelog.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made."""
    made = {
        "index.md": _moved_here((ROOT / "README.md").read_text()),
        "changelog.md": _moved_here((ROOT / "CHANGELOG.md").read_text()),
        "decisions/index.md": _list_of_decisions(),
        **{f"reference/{_slug(title)}.md": text for title, text in reference_pages().items()},
    }
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Pages in folders link to README and code, which lie outside of the site; what a code block
    says behind its language is for the tests that run it."""
    text = _FENCE.sub(r"\1", markdown)
    up = "../" * page.file.src_uri.count("/")
    text = text.replace(f"]({up}../README.md", f"]({up}index.md")
    text = text.replace(f"]({up}../CHANGELOG.md", f"]({up}changelog.md")
    return _LINK.sub(lambda link: _unless_outside(link, page.file.src_uri), text)


def reference_pages() -> dict[str, str]:
    """The pages of the reference, by title: together they have every public name once."""
    names: dict[str, list[str]] = defaultdict(list)
    for title in [*dict.fromkeys(REFERENCE.values()), ERRORS]:
        names[title] = []
    for name in thornback.__all__:
        names[_page_of(name)].append(name)
    pages = {
        title: "\n".join([f"# {title}\n", *map(_reference_of, on_page)])
        for title, on_page in names.items()
        if on_page
    }
    return {**pages, TESTING: _TESTING_PAGE, SIMULATING: _SIMULATING_PAGE}


def _reference_of(name: str) -> str:
    options = "    options: {inherited_members: true}\n" if name in WITH_FACE else ""
    return f"::: thornback.{name}\n{options}"


def _page_of(name: str) -> str:
    public = getattr(thornback, name)
    if isinstance(public, type) and issubclass(public, Exception):
        return ERRORS
    module = thornback._MODULE_OF[name]
    return next(title for start, title in REFERENCE.items() if f"{module}.".startswith(f"{start}."))


def _moved_here(text: str) -> str:
    """A page from the root of the repository, with its links as seen from docs/."""
    text = text.replace("](docs/decisions/)", "](decisions/index.md)")
    text = text.replace("](docs/howto/)", "](howto/test.md)")
    text = re.sub(r"\]\(docs/", "](", text).replace("](CHANGELOG.md", "](changelog.md")
    return _LINK.sub(lambda link: link[2] if _in_repository(link[3]) else link[0], text)


def _in_repository(target: str) -> bool:
    name = target.partition("#")[0]
    here = (DOCS / name).exists() or name in ("", "decisions/index.md", "changelog.md")
    return not here and (ROOT / name).exists()


def _unless_outside(link: re.Match[str], page: str) -> str:
    """The link, or its text alone where it leads to a file that is not in the site."""
    name = link[3].partition("#")[0]
    target = ((DOCS / page).parent / name).resolve()
    outside = "://" not in link[3] and target.exists() and not target.is_relative_to(DOCS)
    return link[2] if outside else link[0]


def _list_of_decisions() -> str:
    lines = [f"- [{_title(DOCS / page)}]({Path(page).name})" for page in _decisions()]
    return "\n".join(["# Decisions", "", "Why it is the way it is.", "", *lines, ""])


def _decisions() -> list[str]:
    return [f"decisions/{page.name}" for page in sorted(DOCS.glob("decisions/[0-9]*.md"))]


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())
