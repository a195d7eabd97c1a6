"""The smallest model: names in, greetings out. Plain Python: nothing here knows of millrace."""

from __future__ import annotations

from typing import Any


class Greeter:
    """Every method but predict may be left out; load, preprocess and postprocess are there if you need them."""

    def preprocess(self, message: Any) -> str:
        """One message into one input. What this raises fails that message alone."""
        name = str(message.body.decode()).strip()
        if not name:
            raise ValueError("nobody to greet")
        return name

    def predict(self, names: list[str]) -> list[dict[str, str]]:
        """A list of inputs into a list of outputs of the same length."""
        return [{"greeting": f"Hello, {name}!"} for name in names]
