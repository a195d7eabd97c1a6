"""What every part of the project file is: a Section, a mapping whose keys are known and whose values stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

_NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


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


@contextmanager
def without_plugins() -> Iterator[None]:
    """Validate without pydantic's plugins; source: pydantic, "Plugins".

    Looking for them reads the entry points of every distribution there is, a twentieth of `invoke`; none is for us.
    """
    before = os.environ.get(_NO_PLUGINS)
    os.environ[_NO_PLUGINS] = "1"
    try:
        yield
    finally:  # users' code has models of its own, and its replicas inherit our environment
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


def _variable(value: Any) -> Any:
    """YAML's 4 and true as environment variables have them: text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


Variable = Annotated[
    str, BeforeValidator(_variable), WithJsonSchema({"type": ["string", "number", "boolean"]}, mode="validation")
]
