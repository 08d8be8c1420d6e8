"""The console: pages that show the system to people, served as they lie in the package.

They are plain HTML, CSS and modules of JavaScript, which nothing builds and which fetch from this
gateway alone: from the public API, with the token that whoever looks at them has pasted. So they
are the same for everybody, and nobody is asked for a token to get them.
"""

from hashlib import blake2b
from importlib.resources import files

from aiohttp import web

#: Nothing from elsewhere, nothing inline, no text that becomes markup or code, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_FOLDER = files("gateways.console") / "assets"


def _paths() -> dict[str, str]:
    """The path of each asset, and its name."""
    names = [each.name for each in _FOLDER.iterdir() if each.name.rpartition(".")[2] in _KINDS]
    return {"/": "index.html"} | {
        f"/console/{name}": name for name in sorted(names) if name != "index.html"
    }


#: The paths that the console is served at.
PATHS = _paths()


class Console:
    """Answers GET / and what that page is made of."""

    def __init__(self) -> None:
        self._assets = {path: (_FOLDER / name).read_bytes() for path, name in PATHS.items()}
        self._tags = {
            path: f'"{blake2b(asset, digest_size=12).hexdigest()}"'
            for path, asset in self._assets.items()
        }

    async def asset(self, path: str, request: web.BaseRequest, _: str) -> web.StreamResponse:
        """One of them. What a browser has already is not sent again."""
        headers = {**_HEADERS, "ETag": self._tags[path]}
        if request.headers.get("If-None-Match", "") == self._tags[path]:
            return web.Response(status=304, headers=headers)
        kind = _KINDS[PATHS[path].rpartition(".")[2]]
        return web.Response(
            body=self._assets[path], content_type=kind, charset="utf-8", headers=headers
        )
