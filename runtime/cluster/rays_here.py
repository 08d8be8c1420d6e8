"""Which Rays there are on this machine, and whether one answers where it is said to be."""

from contextlib import suppress

import psutil
from ray._private import utils

from actors.errors import ThornbackError
from runtime.cluster.project_ray import ADDRESS
from runtime.process.presence import knock, speaks_http2

#: How long whoever listens at an address may take to accept a connection, and then to say a
#: first word.
_KNOCK_S, _SILENCE_S = 3.0, 10.0


class NoRay(ThornbackError):
    """There is no Ray that this process could join, for the reason that is given; and what to do,
    where the reason does not tell."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}" if self.remedy else self.reason


def address_of_own() -> str:
    """The Ray of this user on this machine; of several, the one that `ray start` noted last.
    Raises NoRay where there is none, or no telling which."""
    found = gcs_addresses()
    me = psutil.Process().username()
    own = sorted(address for address, user in found.items() if user == me)
    noted = utils.read_ray_address(None)
    if noted in own or (noted is not None and not found):
        return str(noted)
    if len(own) == 1:
        return own[0]
    choose = f"say which is meant in {ADDRESS}"
    if own:
        raise NoRay(f"several Rays of yours are running here ({', '.join(own)}): {choose}")
    others = ", ".join(f"{address} of {user}" for address, user in sorted(found.items()))
    beside = f" (others' are: {others}; to join one, {choose})" if others else ""
    raise NoRay(
        f"no Ray of yours is running here{beside}: start one with 'ray start --head', or use "
        f"`thornback up`, without {ADDRESS}"
    )


def gcs_addresses() -> dict[str, str]:
    """The addresses of the Rays with processes on this machine, each with its user."""
    found: dict[str, str] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "raylet":
                for word in process.cmdline():
                    flag, _, address = word.partition("=")
                    if flag.replace("_", "-") == "--gcs-address" and address:
                        found[address] = process.username()
    return found


def check_answers(address: str, timeout_s: float, *, tls: bool) -> None:
    """Raises NoRay where nobody listens, or somebody else than a Ray. Where its ports speak TLS,
    nothing is said to whoever does not."""
    try:
        if tls:
            knock(address, _KNOCK_S)
        elif not speaks_http2(address, _KNOCK_S, min(_SILENCE_S, timeout_s)):
            raise NoRay(
                f"what answers at {address} is no Ray",
                f"{ADDRESS} is the address of its head (6379, and not 8265 or 10001, unless it was "
                "started otherwise)",
            )
    except ValueError as error:
        raise NoRay(
            f"{address!r} is no address of a Ray: it is HOST:PORT", f"correct {ADDRESS}"
        ) from error
    except OSError as error:
        raise NoRay(
            f"no Ray answers at {address}: {error.strerror or error}",
            f"start it, or name another one in {ADDRESS}",
        ) from error
