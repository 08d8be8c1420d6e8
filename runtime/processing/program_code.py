"""Stream programs on their way to their workers, as code, like actor classes."""

from typing import Any

from ray import cloudpickle

from runtime.host.resident import FAILURES
from runtime.wire.actor_code import ActorCode
from runtime.wire.class_shipping import pickled_with_own_modules
from runtime.wire.error_codec import text_of_error
from streams.errors import InvalidProgram
from streams.program import Program


def pickled_program(program: Program) -> bytes:
    """A program with the code of its user's own modules (an ActorCode). Raises InvalidProgram for
    one that cannot be sent."""
    try:
        return pickled_with_own_modules(program)
    except Exception as error:  # whatever pickling a user's code comes to
        raise InvalidProgram(program.name, f"it cannot be sent: {error}") from error


def loaded_program(packed: bytes) -> tuple[Program | type[Any], str]:
    """The program, or the class of actors that listen, and its fingerprint. Raises InvalidProgram,
    with the name of the module that is missing where that is the reason."""
    code = ActorCode.unpack(packed)
    try:
        program: Program | type[Any] = cloudpickle.loads(code.pickled)
    except ModuleNotFoundError as error:
        raise InvalidProgram(
            "a program",
            f"it needs the module {error.name!r}, which its workers cannot import: install it "
            "where they run, or launch the system by a job whose working directory has it",
        ) from error
    except FAILURES as error:  # whatever loading a user's code comes to, also sys.exit
        problem = f"its workers cannot load it: {text_of_error(error)}"
        raise InvalidProgram("a program", problem) from error
    return program, code.fingerprint
