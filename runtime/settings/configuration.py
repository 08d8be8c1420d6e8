"""Reading a configuration, and saying what is wrong with it.

Knows nothing of what the sections and keys are for: runtime/settings/settings.py has them. Every
value is checked together with where it came from, so that a refusal names the file or
the environment variable, the key, what was found and what was expected.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from actors.errors import ThornbackError

PREFIX = "THORNBACK_"
FILE_VARIABLE = "THORNBACK_CONFIG"

_SHOWN_CHARS = 80  #: of a wrong value, in an error

#: What Kubernetes adds to every pod beside a Service named thornback...: not meant for us.
_SERVICE_LINK = re.compile(
    r"THORNBACK_\w*(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)=.*"
    r"|THORNBACK_\w*PORT=(tcp|udp|sctp)://.*"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the configuration; a line of a ConfigurationError."""

    origin: str  #: the file's path, "environment variable NAME" or "argument"
    key: str  #: section.key; a section alone, or empty when the whole file is meant
    found: str  #: never a password
    expected: str

    def __str__(self) -> str:
        place = f"{self.origin}: {self.key}" if self.key else self.origin
        return f"{place}: found {self.found}, expected {self.expected}"


class ConfigurationError(ThornbackError):
    """The settings cannot be used. `problems` has everything that was wrong, in order."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def redacted_url(url: str) -> str:
    """`url` with its passwords as `***`: after the user's name and in the query.

    Hides too much rather than too little where a password is not percent-encoded; text
    that is no URL is hidden as a whole. Not promised: that the result can be parsed.
    """
    parts = re.fullmatch(r"([A-Za-z][\w+.-]*://)(.*)", url, re.DOTALL)
    if parts is None:
        return "***" if url else ""
    shown = re.sub(r"(?i)(password=)[^&\s]*", r"\1***", parts[2])
    return parts[1] + re.sub(r"^([^:]*):.*@", r"\1:***@", shown, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expected:
    """In an annotation: what values of this type are, in words for a ConfigurationError."""

    words: str


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it came from; `key` is None where a section should have been."""

    origin: str
    section: str
    key: str | None
    value: Any


def read_file(
    path: Path | None, variables: Mapping[str, str], defaults: Sequence[Path]
) -> tuple[str, dict[str, Any]]:
    """The file's name for errors and its content: of `path`, otherwise of what the
    environment names, otherwise of the first of `defaults` that is there, if any is."""
    named = path if path is not None else variables.get(FILE_VARIABLE)
    by_variable = path is None and named is not None
    if named is None:
        named = next(filter(_is_there, defaults), None)
    if named is None:
        return "", {}
    file = Path(named)
    try:
        if file.is_file():
            return str(file), tomllib.loads(file.read_bytes().decode())
        found = "something that is no file" if file.exists() else "no such file"
    except OSError as error:
        found = error.strerror or "it unreadable"
    except ValueError as error:  # not TOML, or not UTF-8
        found = str(error)
    origin = f"environment variable {FILE_VARIABLE}: " if by_variable else ""
    raise ConfigurationError(Problem(f"{origin}{file}", "", found, "a readable TOML file"))


def _is_there(file: Path) -> bool:
    """A file that is there and cannot be read is to be told, and not passed over."""
    try:
        return file.exists()
    except OSError:
        return True


class Keys:
    """The sections and keys there are, and the environment variables of their names."""

    def __init__(
        self,
        sections: Mapping[str, type[BaseModel]],
        short_names: Mapping[str, tuple[str, str]],
    ) -> None:
        self.sections = sections
        #: The short names first: where both are set, the full one wins.
        self.variables = dict(short_names) | {
            f"{PREFIX}{section}__{key}".upper(): (section, key)
            for section, model in sections.items()
            for key in model.model_fields
        }

    def flattened(self, origin: str, sections: Mapping[str, Any]) -> Iterator[Given]:
        """The values of some sections, one by one."""
        for section, table in sections.items():
            if section in self.sections and isinstance(table, Mapping):
                yield from (Given(origin, section, key, value) for key, value in table.items())
            else:
                yield Given(origin, section, None, table)

    def from_environment(self, variables: Mapping[str, str]) -> Iterator[Given]:
        """The values that environment variables have."""
        for name, (section, key) in self.variables.items():
            if name in variables:
                field = self.sections[section].model_fields[key]
                value = _decoded(field, variables[name])
                yield Given(f"environment variable {name}", section, key, value)

    def unknown_variables(self, variables: Mapping[str, str]) -> Iterator[Problem]:
        """Variables that look like settings and are none."""
        known = {
            name.removeprefix(PREFIX): name for name in self.variables if name.startswith(PREFIX)
        }
        for name in sorted(variables.keys() - self.variables.keys() - {FILE_VARIABLE}):
            if name.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(f"{name}={variables[name]}"):
                near = get_close_matches(name.removeprefix(PREFIX).upper(), known, n=1, cutoff=0.5)
                hint = f"; did you mean {known[near[0]]}?" if near else ""
                key = name.removeprefix(PREFIX).lower().replace("__", ".", 1)
                yield Problem(
                    f"environment variable {name}",
                    key,
                    "no such key",
                    f"{PREFIX}SECTION__KEY{hint}",
                )

    def nearly_meant(self, variables: Mapping[str, str]) -> Iterator[str]:
        """What is to be said of variables whose prefix is nearly ours: nobody reads them, and
        they may be meant as settings."""
        known = [name for name in self.variables if name.startswith(PREFIX)]
        for name in sorted(variables):
            prefix = name.partition("_")[0]
            if name.startswith(PREFIX) or not get_close_matches(
                prefix.upper(), [PREFIX.rstrip("_")], cutoff=0.8
            ):
                continue
            rest = name.partition("_")[2].upper()
            near = get_close_matches(f"{PREFIX}{rest}", [*known, FILE_VARIABLE], n=1, cutoff=0.8)
            if near:
                yield f"environment variable {name} is not read: did you mean {near[0]}?"

    def problem(self, given: Given) -> Problem | None:
        """What is wrong with a value, if anything is."""
        model = self.sections.get(given.section)
        if model is None:
            expected = self._one_of(self.sections, given.section)
            return Problem(given.origin, given.section, "no such section", expected)
        if given.key is None:
            return Problem(given.origin, given.section, "a single value", "a table of keys")
        key = f"{given.section}.{given.key}"
        if given.key not in model.model_fields:
            expected = self._one_of(model.model_fields, given.key, given.section)
            return Problem(given.origin, key, "no such key", expected)
        try:
            model.model_validate({given.key: given.value})
            return None
        except ValidationError:
            field = model.model_fields[given.key]
            return Problem(given.origin, key, _shown(field, given.value), _expected(field))

    def _one_of(self, names: Iterable[str], unknown: str, section: str = "") -> str:
        """`names`, and the nearest to `unknown` among them, which are the keys of `section` if
        that is one, or else among the keys of all sections."""
        homes = {key: f"{home}.{key}" for home, key in self.variables.values()}
        if section:  # of a key that several have, this section's is meant
            homes |= {name: f"{section}.{name}" for name in names}
        near = get_close_matches(unknown, [*names, *homes], n=1)
        hint = f"; did you mean {homes.get(near[0], near[0])}?" if near else ""
        return f"one of {', '.join(names)}{hint}"


def _decoded(field: FieldInfo, text: str) -> object:
    """A variable's text as its key's type; tables and lists are JSON. Text if it cannot be."""
    annotation: Any = field.annotation
    try:
        if get_origin(annotation) in (Mapping, tuple):
            return json.loads(text)
        return TypeAdapter(annotation).validate_strings(text)
    except ValueError:
        return text


def _shown(field: FieldInfo, value: object) -> str:
    """The value as it might stand in the file, on one line; a secret without its password."""
    if _is_secret(field.annotation):
        value = _redacted(value)
    if isinstance(value, Mapping):
        value = {key if isinstance(key, str) else str(key): each for key, each in value.items()}
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _is_secret(annotation: Any) -> bool:
    """Is it one, or a collection of them?"""
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def _redacted(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return redacted_url(text) if isinstance(text, str) else type(text).__name__


def _expected(field: FieldInfo) -> str:
    return next(each.words for each in field.metadata if isinstance(each, Expected))
