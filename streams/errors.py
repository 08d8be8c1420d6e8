"""What can be wrong with a stream program, before anything runs it."""

from actors.errors import ThornbackError


class InvalidProgram(ThornbackError):
    """A handler or a pipeline cannot be run as it is; the message says which part, and why."""

    def __init__(self, program: str, problem: str) -> None:
        super().__init__(program, problem)
        self.program, self.problem = program, problem

    def __str__(self) -> str:
        return f"{self.program}: {self.problem}"
