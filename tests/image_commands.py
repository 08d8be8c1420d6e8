"""What tests/image.sh runs inside the container, with the image's own Python: commands over HTTP.

`send` sends commands until nobody answers, and prints the number of each that is acknowledged;
`check NUMBER...` looks whether each of these is in the history of that one actor, once.
"""

import itertools
import json
import sys
import urllib.error
import urllib.request
from typing import Any

GATEWAY = "http://127.0.0.1:8080"
ACTOR = f"{GATEWAY}/v1/actors/weather-station/of-the-image"
PATIENCE_S = 60.0


def asked(request: urllib.request.Request) -> Any:
    """The answer as JSON. Raises URLError, of which HTTPError is one."""
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def send() -> None:
    """Send one observation after the other, and print the number of each that is committed."""
    for number in itertools.count(1):
        body = json.dumps({"temperature_f": number}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"number-{number}"}
        try:
            asked(urllib.request.Request(f"{ACTOR}/observe-weather", body, headers))
        except (urllib.error.URLError, OSError) as error:
            print(f"after {number - 1}: {error}", file=sys.stderr)
            return
        print(number, flush=True)


def check(acknowledged: list[int]) -> None:
    """Exit with 1 where one of them is missing, or is there twice."""
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = asked(urllib.request.Request(f"{ACTOR}/events?after={after}&limit=500"))
        found += [int(event["data"]["temperature_f"]) for event in page["events"]]
        after = page["next"]
    missing = sorted(set(acknowledged) - set(found))
    print(f"{len(acknowledged)} were acknowledged, {len(found)} are in the log")
    if missing or len(found) != len(set(found)):
        sys.exit(f"missing: {missing[:10]}, of {len(found)} {len(set(found))} are different")


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send()
    else:
        check([int(word) for word in sys.argv[2:]])
