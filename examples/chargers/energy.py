"""A job: the energy that each site has delivered, added up from the log and then live.

python energy.py            goes on until Ctrl-C
python energy.py --once     ends where the log ends now
"""

import sys
import time
from collections import Counter

from thornback import ActorSystem, ThornbackError


def show(energy: Counter[str], position: int) -> None:
    sites = ", ".join(f"{site} {kwh:,.1f}" for site, kwh in sorted(energy.items()))
    print(f"up to position {position:,}, in kWh: {sites or 'nothing yet'}", flush=True)


def main(once: bool) -> None:
    energy: Counter[str] = Counter()
    with ActorSystem.connect() as system:
        head = system.head().result()
        shown_s = 0.0
        if not head:
            show(energy, head)
        with system.subscribe("energy-delivered", sources="charger/*", after=0) as stream:
            if once and not head:
                return
            for page in stream.pages():
                for event in page:
                    energy[event.data["site"]] += event.data["kwh"]
                caught_up = stream.position >= head
                if caught_up and (once or (page and time.monotonic() - shown_s > 1)):
                    show(energy, stream.position)
                    shown_s = time.monotonic()
                if once and caught_up:
                    return


if __name__ == "__main__":
    try:
        main("--once" in sys.argv)
    except KeyboardInterrupt:
        pass
    except ThornbackError as error:
        sys.exit(f"error: {error}")
