"""A request, with what is found out of it on its way."""

from aiohttp import web

#: The route of paths that there are not, and of what cannot be read.
NOWHERE = "elsewhere"


class Incoming(web.BaseRequest):
    """A request as the gateway gets it."""

    #: What its sender may do (allowed.py); None: that is not known.
    allowed: object = None
    #: The template of its path.
    route = NOWHERE
