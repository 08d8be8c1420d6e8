"""What the sender of a request may do: asked by every endpoint before it does anything."""

from aiohttp import web

from actors.naming import actor_type_of
from gateways.tokens import ADMIN, COMMAND, COMMAND_TO, PUBLISH, READ, Grant
from gateways.web.incoming import Incoming
from gateways.web.known_tokens import Known, KnownTokens
from gateways.web.problems import refusal


class Allowed:
    """What one sender may do. What it does not allow raises RequestRefused: 403, which names what
    is missing."""

    __slots__ = ("_known", "_tokens", "grant")

    def __init__(self, known: Known, tokens: KnownTokens) -> None:
        self._known, self._tokens = known, tokens
        self.grant: Grant = known.grant

    @property
    def token_id(self) -> str:
        """Which token it is; empty where nobody is asked for one."""
        return self._known.id

    def check_command(self, source: str) -> None:
        """May a command be sent to this actor?"""
        self.check_scope(COMMAND_TO + actor_type_of(source))
        self._check_source(source)

    def check_commands(self) -> None:
        """May commands be sent to any actor at all?"""
        if not self.grant.commands:
            raise _missing(COMMAND)

    def check_read(self, source: str) -> None:
        """May the state and the history of this actor be read?"""
        self.check_scope(READ)
        self._check_source(source)

    def check_publish(self, source: str) -> None:
        """May something be reported that becomes events of this source?"""
        self.check_scope(PUBLISH)
        self._check_source(source)

    def check_erase(self, source: str) -> None:
        """May the data of this actor be removed for good?"""
        self.check_scope(ADMIN)
        self._check_source(source)

    def check_scope(self, scope: str) -> None:
        """Is it among what is allowed?"""
        if not self.grant.allows(scope):
            raise _missing(scope)

    def check_whole(self, scope: str) -> None:
        """Is it allowed, and for all sources?"""
        self.check_scope(scope)
        if self.grant.prefix:
            raise self.outside("the system as a whole")

    def outside(self, what: str) -> Exception:
        """What is raised for what is not within the sources of the token."""
        prefix = self.grant.prefix
        return refusal(
            403, "other-sources", "The token is for other sources",
            f"it is for sources that begin with {prefix!r}, and {what[:1100]!r} is outside",
            prefix=prefix,
        )  # fmt: skip

    @property
    def stands(self) -> bool:
        """May what was begun go on? Not where the token was revoked, or has expired, since."""
        return self._tokens.stands(self._known)

    @property
    def fresh(self) -> bool:
        """Is that known, or is it too long ago that the database was asked?"""
        return self._tokens.fresh(self._known)

    def check_stands(self) -> None:
        """Raises RequestRefused, 401 or 503, where what was begun may not go on, or not now."""
        if not self.stands:
            raise unauthorized("invalid_token", "the token was revoked, or has expired")
        if not self.fresh:
            raise unknown()

    def _check_source(self, source: str) -> None:
        if not source.startswith(self.grant.prefix):
            raise self.outside(source)


def allow(request: web.BaseRequest, allowed: Allowed | None) -> None:
    """From now on this request has what its sender may do; None: he did not say who he is."""
    assert isinstance(request, Incoming)
    request.allowed = allowed


def allowed_of(request: web.BaseRequest) -> Allowed:
    """What the sender of a request may do, where everybody is asked who he is."""
    found = sender_of(request)
    assert found is not None
    return found


def sender_of(request: web.BaseRequest) -> Allowed | None:
    """The same of any request; None where nobody knows who has sent it."""
    found = request.allowed if isinstance(request, Incoming) else None
    return found if isinstance(found, Allowed) else None


def unauthorized(error: str, detail: str) -> Exception:
    """Who this is has to be said, or said anew."""
    said = f', error="{error}"' if error else ""
    return refusal(
        401, "no-valid-token", "Who is this?", detail,
        headers={"WWW-Authenticate": f'Bearer realm="thornback"{said}'},
    )  # fmt: skip


def unknown() -> Exception:
    """Nobody can tell now who this is. Nothing was begun."""
    return refusal(
        503, "tokens-unavailable", "Tokens cannot be checked",
        "the database that has them does not answer, and nothing was done", retry_after_s=2,
    )  # fmt: skip


def _missing(scope: str) -> Exception:
    challenge = f'Bearer realm="thornback", error="insufficient_scope", scope="{scope}"'
    return refusal(
        403, "missing-scope", "The token does not allow this",
        f"it takes the scope {scope!r}, which this token does not have",
        headers={"WWW-Authenticate": challenge} if scope.isascii() else {}, scope=scope,
    )  # fmt: skip
