"""Which functions can run here: those in Python."""

from __future__ import annotations

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, text_of
from millrace.formats.serverless.ledger import Ledger


def runs_here(key: str, function: Node, provider: Node | None, ledger: Ledger) -> bool:
    """Whether a function is in Python; a warning where it is not. No runtime at all is taken as Python's."""
    if (image := below(function, "image")) is not None:
        ledger.warn(
            image, f"functions.{key} is a container image, which does not run here: it is left aside", "handler"
        )
        return False
    runtime = below(function, "runtime") or below(provider, "runtime")
    if runtime is None or text_of(runtime).startswith("python"):
        return True
    what = f"functions.{key}: {text_of(runtime)} does not run here: the function is left aside"
    ledger.warn(runtime, what, "a runtime such as python3.12")
    return False
