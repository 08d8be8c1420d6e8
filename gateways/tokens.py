"""Bearer tokens: what their text looks like, and what one allows.

A token is `thb_`, a short id, and 256 random bits: by the first a scanner of secrets knows it, by
the second the token is named where it must not stand itself (logs, lists), and by the third nobody
guesses it. Only the SHA-256 of the whole text is kept: of so many random bits a slow hash would
make nothing safer.
"""

import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from actors.errors import InvalidName, ThornbackError
from actors.naming import actor_type_of, checked_source, checked_type_name

#: What a token allows: to read states, histories, lists and streams; to send commands, to all
#: actors or to those of one type; to report CloudEvents; to see how the system is; everything.
READ, COMMAND, PUBLISH, OBSERVE, ADMIN = "read", "command", "publish", "observe", "admin"
#: The scope for the commands of one actor type begins so.
COMMAND_TO = "command:"

_ID_BYTES, _SECRET_BYTES = 5, 32
_TOKEN = re.compile(r"thb_([a-z2-7]{8})_[A-Za-z0-9_-]{43}", re.ASCII)
_LIKE_A_TOKEN = re.compile(r"thb_[A-Za-z0-9_-]*", re.ASCII)


class InvalidToken(ThornbackError):
    """A token cannot be made as it is asked for."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class Presented(NamedTuple):
    """What somebody shows: which token it would be, and the hash that it would have."""

    id: str
    hash: bytes


def new_token(random: Callable[[int], bytes]) -> str:
    """The text of a token that nobody has seen yet. `random` gives so many random bytes."""
    name = b32encode(random(_ID_BYTES)).decode().lower()
    secret = urlsafe_b64encode(random(_SECRET_BYTES)).decode().rstrip("=")
    return f"thb_{name}_{secret}"


def presented(text: str) -> Presented | None:
    """What a text shows; None where it is no token."""
    found = _TOKEN.fullmatch(text)
    return Presented(found[1], sha256(text.encode()).digest()) if found else None


def redacted(text: str) -> str:
    """A text without what might be a token."""
    return _LIKE_A_TOKEN.sub("thb_***", text) if "thb_" in text else text


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Scopes, each once. Raises InvalidToken."""
    found = tuple(dict.fromkeys(scopes))
    if not found:
        raise InvalidToken(f"a token allows something: {_FORMS}")
    for scope in found:
        try:
            if scope not in (READ, COMMAND, PUBLISH, OBSERVE, ADMIN):
                if not scope.startswith(COMMAND_TO):
                    raise InvalidToken(f"there is no scope {scope!r}: {_FORMS}")
                checked_type_name(scope.removeprefix(COMMAND_TO))
        except InvalidName as error:
            raise InvalidToken(f"{scope!r}: {error}") from error
    return found


_FORMS = (
    "they are read, command, command:TYPE (like command:thermostat), publish, observe and admin"
)


def checked_prefix(prefix: str) -> str:
    """The prefix of the sources that a token is for; empty: of all. Raises InvalidToken."""
    if not prefix:
        return prefix
    form = "an actor type, a slash and how the names begin, like thermostat/site-7-"
    try:
        checked_source(prefix)
        if "/" not in prefix:
            raise InvalidToken(f"{prefix!r} is no prefix, which is {form}")
        checked_type_name(actor_type_of(prefix))
    except InvalidName as error:
        raise InvalidToken(
            f"{prefix!r} is no prefix of sources, which is {form}: {error}"
        ) from error
    if "*" in prefix:
        raise InvalidToken(f"a prefix has no *: it is {form}, and all that follows is meant")
    return prefix


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do."""

    scopes: frozenset[str]
    prefix: str = ""  #: of the sources for which that holds; empty: all

    def allows(self, scope: str) -> bool:
        """Is this scope among them, or one that has it within?"""
        scopes = self.scopes
        if scope in scopes or ADMIN in scopes:
            return True
        return scope.startswith(COMMAND_TO) and COMMAND in scopes

    @property
    def commands(self) -> bool:
        """May commands be sent to any actor at all?"""
        return self.allows(COMMAND) or any(each.startswith(COMMAND_TO) for each in self.scopes)

    def covers(self, source: str) -> bool:
        """Is a source among those for which it holds?"""
        return source.startswith(self.prefix)


#: Where nobody is asked for a token, everybody may do everything.
EVERYTHING = Grant(frozenset({ADMIN}))
