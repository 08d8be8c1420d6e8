"""What a caller is told of a command that its actor, its model or the log refuses."""

from pydantic import ValidationError

from runtime.errors import InvalidMessage

#: Problems of one message that are told one by one.
_PROBLEMS = 100


def told_rejection(rejection: Exception, source: str, message_type: str) -> Exception:
    """The error that travels: InvalidMessage, with every problem, for what a model refuses; else
    the rejection itself."""
    if isinstance(rejection, ValidationError):
        return InvalidMessage(source, message_type, _problems(rejection))
    return rejection


def _problems(rejection: ValidationError) -> str:
    if (count := rejection.error_count()) > _PROBLEMS:
        # To list them takes 6 us and a kilobyte each, and a message has room for millions.
        return f"{count:,} parts of it do not fit"
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}"
        for problem in rejection.errors(include_url=False, include_context=False)
    )
