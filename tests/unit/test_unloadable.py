"""Handlers that cannot be loaded: what Lambda's caller is told, and what the log knows beyond that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.aws.errors import document, of_request
from millrace.flow.hints import hint
from millrace.replica.contract import failure_of
from millrace.replica.handler import load
from millrace.types import Failure
from millrace.wire import Spec


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def refused(folder: Path, target: str, **files: str) -> Failure:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever user code raises
        load(Spec("f", "handler", target, str(folder), 3.0, 0, 1))
    return failure_of(caught.value)


@pytest.mark.parametrize(
    ("target", "code", "type_", "message", "known"),
    [
        (
            "un_a.main",
            "import un_nowhere",
            "Runtime.ImportModuleError",
            "Unable to import module 'un_a': No module named 'un_nowhere'",
            "File ",
        ),
        (
            "un_b.main",
            "from json import nothing",
            "Runtime.ImportModuleError",
            "Unable to import module 'un_b': cannot import name 'nothing' from 'json'",
            "File ",
        ),
        (
            "un_other.main",
            "def main(event, context): pass",
            "Runtime.ImportModuleError",
            "Unable to import module 'un_other': No module named 'un_other'",
            "did you mean",
        ),
        (
            "un_c/deep.main",
            "x = 1",
            "Runtime.ImportModuleError",
            "Unable to import module 'un_c/deep': No module named 'un_c.deep'",
            "cannot find",
        ),
        (
            "un_d.main",
            "def mian(event, context): pass",
            "Runtime.HandlerNotFound",
            "Handler 'main' missing on module 'un_d'",
            "did you mean mian?",
        ),
        (
            "main",
            "",
            "Runtime.MalformedHandlerName",
            "Bad handler 'main': not enough values to unpack (expected 2, got 1)",
            "expected module.Name",
        ),
        (
            "un_e.main",
            "def main(event, context)\n    pass",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'un_e': expected ':'",
            "File ",
        ),
    ],
)
def test_callers_are_told_in_lambdas_words_and_the_log_says_more(
    tmp_path: Path, target: str, code: str, type_: str, message: str, known: str
) -> None:
    stem = target.partition(".")[0].partition("/")[0].replace("un_other", "un_near")
    failure = refused(tmp_path, target, **{stem: code})
    told = document(failure, "r-1")
    assert (told["errorType"], told["requestId"]) == (type_, "r-1")
    assert told["errorMessage"].startswith(message)
    assert known in failure.traceback
    assert known not in str({**told, "stackTrace": []})


def test_a_syntax_error_says_where_as_on_lambda(tmp_path: Path) -> None:
    failure = refused(tmp_path, "un_f.main", un_f="x = 1\ndef main(event, context)\n    pass\n")
    assert document(failure, "r-1")["stackTrace"] == [
        f'  File "{tmp_path}/un_f.py" Line 2\n    def main(event, context)\n'
    ]


def test_a_module_that_lacks_a_module_still_gets_a_hint(tmp_path: Path) -> None:
    assert "install un_nowhere" in hint(refused(tmp_path, "un_g.main", un_g="import un_nowhere"))


def test_what_else_a_module_raises_is_its_own_error(tmp_path: Path) -> None:
    failure = refused(tmp_path, "un_h.main", un_h="import os\nos.environ['UN_TABLE']")
    told = document(failure, "r-1")
    assert (told["errorType"], told["errorMessage"]) == ("KeyError", "'UN_TABLE'")
    assert "un_h.py" in "".join(told["stackTrace"])


def test_a_module_that_exits_is_an_exit_error(tmp_path: Path) -> None:
    failure = of_request(refused(tmp_path, "un_i.main", un_i="import sys\nsys.exit(4)"), "r-1")
    assert document(failure, "r-1") == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r-1 Error: Runtime exited with error: exit status 4",
    }
    assert "un_i.py" in failure.traceback
