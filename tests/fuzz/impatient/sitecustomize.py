"""Found by every Python of a Ray that has this folder on its path: gateways wait for less long
than any setting lets them, so that a hundred thousand bad clients take minutes, and not days."""

from gateways.web.bulk import BulkEndpoint
from gateways.web.serving import Serving

Serving.IDLE_S, Serving.LINGER_S = 0.5, 0.2
BulkEndpoint.SILENCE_S = 0.5
