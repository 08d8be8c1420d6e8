"""What a caller is told of a message that does not fit its class."""

from pydantic import ValidationError

from runtime.errors import InvalidMessage

#: Problems of one message that are told one by one.
_PROBLEMS = 100


def misfit_message(error: ValidationError, source: str, message_type: str) -> InvalidMessage:
    """The error that travels, with every problem."""
    return InvalidMessage(source, message_type, _problems(error))


def _problems(error: ValidationError) -> str:
    if (count := error.error_count()) > _PROBLEMS:
        # To list them takes 6 us and a kilobyte each, and a message has room for millions.
        return f"{count:,} parts of it do not fit"
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False)
    )
