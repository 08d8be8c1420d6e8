"""What a simulation of a user's own code may end with, beside what that code raises itself."""

from actors.errors import ThornbackError


class SimulationError(ThornbackError):
    """Base of everything that a simulation raises of itself."""


class NotSimulated(SimulationError):
    """Code that is simulated has asked for something that a simulation does not have: the time of
    this machine, a thread, a wait that blocks. What came of that no seed would repeat."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)
        self.what, self.instead = what, instead

    def __str__(self) -> str:
        return f"a simulation has no {self.what}: {self.instead}"


class WaitsForEver(SimulationError):
    """The test waits for something that nothing is left to bring about."""

    def __init__(self, where: str, after: str) -> None:
        super().__init__(where, after)
        self.where, self.after = where, after

    def __str__(self) -> str:
        return (
            f"the test waits at {self.where}, and after {self.after} of virtual time nothing is "
            "left that could end that"
        )


class NotRepeatable(SimulationError):
    """The same seed was another history: something in it comes from outside the simulation."""

    def __init__(self, seed: int, difference: str) -> None:
        super().__init__(seed, difference)
        self.seed, self.difference = seed, difference

    def __str__(self) -> str:
        return (
            f"seed {self.seed} did not repeat itself: {self.difference}. Something comes from "
            "outside the simulation: datetime.now(), the order of a set, a global that is kept "
            "from one run to the next"
        )


class PromiseBroken(SimulationError):
    """The log is not what the system promises, whatever the test has looked at."""

    def __init__(self, problems: str) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return f"what Thornback promises does not hold: {self.problems}"
