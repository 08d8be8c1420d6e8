"""A request, with what is found out of it on its way."""

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from gateways.web.allowed import Allowed

#: The route of paths that there are not, and of what cannot be read.
NOWHERE = "elsewhere"


class Incoming(web.BaseRequest):
    """A request as the gateway gets it."""

    #: What its sender may do; None: that is not known.
    allowed: "Allowed | None" = None
    #: The template of its path.
    route = NOWHERE
