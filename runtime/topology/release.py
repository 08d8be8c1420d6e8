"""Which release of Thornback this code is.

A driver and its system are of one release: what they say to each other has the form of that release
alone, also where the two differ in a last digit. They tell each other when one joins the other
(runtime/cluster/directory.py). The constant stands in the code, because what is installed may be of
another release than the code that a job brings along.
"""

from runtime.errors import AnotherRelease, SystemNotFound

RELEASE = "0.1.0"


def check_release(namespace: str, theirs: str) -> None:
    """A system lets nobody in who is of another release. Raises AnotherRelease, and SystemNotFound
    for whoever does not say which one it is of, and does not know the other error either."""
    if not theirs:
        raise SystemNotFound(
            namespace,
            f"one runs there that is of release {RELEASE} of Thornback, and this program is of an "
            "earlier one",
            f"install release {RELEASE} for this program, too",
        )
    if theirs != RELEASE:
        raise AnotherRelease(RELEASE, theirs)
