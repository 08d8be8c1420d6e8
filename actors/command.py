"""Commands: typed requests to one actor."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from actors.naming import checked_type_name, kebab_case


class Command(BaseModel):
    """A typed request to one actor. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_type: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "message_type" not in cls.__dict__:
            cls.message_type = kebab_case(cls.__name__)
        checked_type_name(cls.message_type)
