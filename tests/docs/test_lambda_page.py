"""docs/lambda.md shows what handlers really get and does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lambda_page import AT, EXAMPLES, SPEC

from millrace.replica.handler import Handler
from millrace.types import Message
from millrace.wire import Run

PAGE = (Path(__file__).parents[2] / "docs" / "lambda.md").read_text()
SHOWN = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_is_shown_as_it_is(name: str) -> None:
    assert EXAMPLES[name] in SHOWN


def test_nothing_else_is_shown() -> None:
    assert len(SHOWN) == len(EXAMPLES)


def test_the_handler_of_the_page_reports_partial_failures() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    messages = [Message("good", b'{"pet": 7}', {}, AT), Message("bad", b"{}", {}, AT)]
    ran = Handler(namespace["main"], SPEC, "").run(Run(1, "r", "q", messages, [1, 1], ["", ""]), lambda: None)
    assert (ran.values, list(ran.failures)) == ([b"null", None], [1])
