"""Cars at three sites share the power of their connections: whoever is granted some charges and
leaves, and the next one is granted what becomes free. Never is more granted than a site has."""

from collections import Counter, defaultdict

from actors.examples.load_management import Charger, LoadManager, PlugIn, SetLimit, Unplug
from thornback import ActorSystem, Event

SITES = ("harbour", "market", "station")
LIMIT_KW = 50.0
CHARGERS = 30

#: How far the sessions of chargers are, and what the managers of sites have granted and have back.
TELLING = ("charging-started", "power-denied", "power-granted", "power-released")


def share(system: ActorSystem) -> None:
    """A car comes to each charger, and leaves when it has charged, or was refused."""
    for site in SITES:
        system.actor(LoadManager, site).ask(SetLimit(kw=LIMIT_KW)).result()
    refs = [system.actor(Charger, f"c-{number:02}") for number in range(CHARGERS)]
    system.tell_many((ref, Unplug()) for ref in refs)  # a run that was interrupted left cars
    # One car in ten wants more than its site has at all.
    wanted = [60.0 if number % 10 == 9 else 11.0 + number % 5 for number in range(CHARGERS)]
    plugs = [
        (ref, PlugIn(site=SITES[number % len(SITES)], kw=wanted[number]))
        for number, ref in enumerate(refs)
    ]
    here = {}
    for (ref, plug), reply in zip(plugs, system.ask_many(plugs), strict=True):
        here[ref.name, reply.result()[0].data["session"]] = plug.site
    charged, refused = Counter[str](), Counter[str]()
    granted_kw, most_kw = defaultdict[str, float](float), defaultdict[str, float](float)
    with system.subscribe(TELLING, after=0) as events:
        for event in events:
            if event.event_type in ("power-granted", "power-released"):
                granted = event.event_type == "power-granted"
                granted_kw[event.source] += event.data["kw"] * (1 if granted else -1)
                most_kw[event.source] = max(most_kw[event.source], granted_kw[event.source])
            elif _session(event) in here:
                site = here.pop(_session(event))
                counts = charged if event.event_type == "charging-started" else refused
                counts[site] += 1
                system.actor(Charger, _session(event)[0]).tell(Unplug())
                if not here:
                    break
    for site in SITES:
        most = most_kw[f"load-manager/{site}"]
        print(f"{site}: {charged[site]} charged and {refused[site]} were refused; "
              f"granted at once: at most {most:g} of {LIMIT_KW:g} kW")  # fmt: skip


def _session(event: Event) -> tuple[str, int]:
    return event.source.partition("/")[2], event.data["session"]


if __name__ == "__main__":
    with ActorSystem.connect() as connected:
        share(connected)
