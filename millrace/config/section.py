"""What every part of the project file is: a Section, a mapping whose keys are known and whose values stay."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator


class Section(BaseModel):
    """A mapping in the project file: unknown keys are faults, values do not change after loading.

    A key without a value (`labels:`) is as if left out; a whole section without one is all defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nothing(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}
        return value


def _variable(value: Any) -> Any:
    """YAML's 4 and true as environment variables have them: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


Variable = Annotated[
    str, BeforeValidator(_variable), WithJsonSchema({"type": ["string", "number", "boolean"]}, mode="validation")
]
