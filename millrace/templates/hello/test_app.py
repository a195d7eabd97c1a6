"""python -m pytest"""

from __future__ import annotations

from types import SimpleNamespace

from app import Greeter


def test_everybody_is_greeted() -> None:
    greeter = Greeter()
    names = [greeter.preprocess(SimpleNamespace(body=name)) for name in (b"Ada", b" Alan\n")]
    assert greeter.predict(names) == [{"greeting": "Hello, Ada!"}, {"greeting": "Hello, Alan!"}]
