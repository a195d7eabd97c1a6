"""millrace puts a durable queue in front of a model.

Client and AsyncClient are for programs that send work and read results; Message, Retry and Dead for user code that
wants more than plain values. Each is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.client import AsyncClient as AsyncClient
    from millrace.client import Client as Client
    from millrace.errors import Dead as Dead
    from millrace.errors import Retry as Retry
    from millrace.types import Message as Message

_HOMES = {
    "AsyncClient": "millrace.client",
    "Client": "millrace.client",
    "Dead": "millrace.errors",
    "Message": "millrace.types",
    "Retry": "millrace.errors",
}

__all__ = ["AsyncClient", "Client", "Dead", "Message", "Retry", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("millrace")
    if name not in _HOMES:
        raise AttributeError(f"module 'millrace' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
