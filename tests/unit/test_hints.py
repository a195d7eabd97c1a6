"""The errors that cost people days get one line that says what to do; real exceptions, not made-up texts."""

from __future__ import annotations

import os
import pickle
import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType

import pytest

from millrace.flow.failures import failure_lines
from millrace.flow.hints import hint
from millrace.replica.contract import failure_of
from millrace.types import Failure, Lease, Message, Outcome


def raised(text: str, **names: object) -> Failure:
    with pytest.raises(Exception) as found:  # noqa: PT011 - whatever the code raises
        exec(compile(text, "app.py", "exec"), names)
    return failure_of(found.value)


@pytest.fixture
def pickled(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A pickle of an instance of a class that a script defined and that is gone now."""
    module = ModuleType("trainer")
    exec("class Preprocess: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "trainer", module)
    data = pickle.dumps(module.Preprocess())
    del module.Preprocess
    return data


def test_a_pickle_that_wants_a_name_of_main(pickled: bytes) -> None:
    failure = raised(
        "pickle.loads(data)",
        pickle=pickle,
        data=pickled.replace(b"trainer", b"__main__").replace(b"\x8c\x07__main__", b"\x8c\x08__main__"),
    )
    assert "a pickle wants Preprocess from the script that made it" in hint(failure)


def test_a_pickle_that_wants_a_name_of_main_in_a_replica() -> None:
    spec = find_spec("millrace.replica.__main__")
    assert spec is not None
    main = module_from_spec(spec)  # not executed: how it calls itself is enough
    assert "a pickle wants Tokenizer from the script that made it" in hint(
        Failure("AttributeError", f"Can't get attribute 'Tokenizer' on {main!r}")
    )


def test_a_pickle_that_wants_a_name_that_its_module_no_longer_has(pickled: bytes) -> None:
    assert "a pickle wants trainer.Preprocess" in hint(raised("pickle.loads(data)", pickle=pickle, data=pickled))


def test_a_module_that_is_not_there() -> None:
    assert hint(raised("import helper_of_nobody")) == (
        "install helper_of_nobody where millrace runs, or put helper_of_nobody.py into the project's folder"
    )


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    module = tmp_path / "reads_a_variable.py"
    module.write_text("import os\nos.environ['GOOGLE_CLIENT_ID']\n")
    failure = raised(f"import runpy; runpy.run_path({str(module)!r})")
    assert "GOOGLE_CLIENT_ID is not set" in hint(failure)
    assert "GOOGLE_CLIENT_ID" not in os.environ


@pytest.mark.parametrize("text", ["{}['a']", "raise ValueError('x')", "object().nothing"])
def test_other_errors_speak_for_themselves(text: str) -> None:
    assert hint(raised(text)) == ""


def test_the_log_has_the_hint_below_the_error() -> None:
    failure = Failure("ModuleNotFoundError", "No module named 'helper'")
    lease = Lease("q", Message("a"), "a", 1, 30.0)
    for verdict in ("retry", "dead"):
        (line,) = failure_lines([lease], [failure], [Outcome(lease, verdict)], request_id="r", at=1.0)
        assert line.text.splitlines()[1].startswith("what to do: install helper")
