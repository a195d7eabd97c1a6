"""Finding where a name is defined without importing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.errors import LoadError
from millrace.replica.loader import resolve
from millrace.symbols import definitions, file_of, module_of, problem, suggestion

APP = """raise SystemExit("importing me is a fault")
import os
from json import dumps as to_json

def get_message(event, context): ...

try:
    import fast as quick
except ImportError:
    quick = None

if os.environ.get("X"):
    async def later(): ...
first, (second, *rest) = 1, (2, 3)
third: int = 3

class Service:
    def run(self): ...
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "app.py").write_text(APP)
    (tmp_path / "main.py").write_text("from api.app import get_message\nfrom flask import *\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("def nightly(): ...\n")
    (tmp_path / "jobs" / "torn.py").write_text("def f(:\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    for hidden in (".git", "node_modules", "venv"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "app.py").write_text("def get_message(): ...\n")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("get_message", ["api.app.get_message (api/app.py:5)"]),
        ("later", ["api.app.later (api/app.py:13)"]),
        ("rest", ["api.app.rest (api/app.py:14)"]),
        ("third", ["api.app.third (api/app.py:15)"]),
        ("Service", ["api.app.Service (api/app.py:17)"]),
        ("nightly", ["jobs.nightly (jobs/__init__.py:1)"]),
        ("run", []),
        ("to_json", []),
        ("f", []),
    ],
)
def test_what_stands_at_the_top_of_a_module_is_found(root: Path, name: str, found: list[str]) -> None:
    assert [str(each) for each in definitions(name, root)] == found


@pytest.mark.parametrize("target", ["get_message", "app.get_message", "api.get_message", "main2.get_message"])
def test_the_path_that_would_work(root: Path, target: str) -> None:
    assert problem(target, root)
    assert suggestion(target, root) == "did you mean api.app.get_message (api/app.py:5)?"


def test_the_likest_of_several_comes_first(root: Path) -> None:
    (root / "tools").mkdir()
    (root / "tools" / "app.py").write_text("get_message = print\n")
    assert suggestion("tool.app.get_message", root) == (
        "did you mean tools.app.get_message (tools/app.py:1); or api.app.get_message (api/app.py:5)?"
    )


def test_a_name_that_is_misspelt(root: Path) -> None:
    assert suggestion("api.app.get_mesage", root) == "did you mean api.app.get_message?"
    assert suggestion("api.app.zzz", root) == suggestion("nowhere.zzz", root) == ""


@pytest.mark.parametrize(
    "target",
    [
        "api.app.get_message",
        "api.app.to_json",
        "api.app.quick",
        "api.app.Service.run",
        "main.anything",  # import * may bring it
        "jobs.nightly",
        "jobs.torn",  # a module of the package
        "jobs.torn.f",  # what does not parse is the import's to tell
        "json.dumps",
        "pytest.main",
    ],
)
def test_what_may_lead_somewhere_is_no_problem(root: Path, target: str) -> None:
    assert problem(target, root) == ""


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("get_message", "get_message names no module"),
        ("app.get_message", "there is no module app in {root} or the environment"),
        ("api.get_message", "there is no module api in {root}"),
        ("api.ap.get_message", "there is no module api.ap in {root}"),
        ("plain.y", "plain.py has no y"),
        ("plain.y.z", "plain.py is a module and has no y"),
    ],
)
def test_what_cannot_lead_anywhere(root: Path, target: str, what: str) -> None:
    assert problem(target, root) == what.format(root=root)


def test_names_of_files(root: Path) -> None:
    assert module_of(root / "api" / "app.py", root) == "api.app"
    assert module_of(root / "jobs" / "__init__.py", root) == "jobs"
    assert module_of(root / "__init__.py", root) == module_of(root / "my-app.py", root) == ""
    assert file_of("api.app", root) == root / "api" / "app.py"
    assert file_of("", root) is None


def test_a_load_error_tells_the_path_that_would_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root))
    for target in ("api.get_message", "nowhere.get_message"):
        with pytest.raises(LoadError) as caught:
            resolve(target, str(root))
        assert caught.value.hint == "did you mean api.app.get_message (api/app.py:5)?"


@pytest.mark.parametrize("target", ["/.app", "..app", "./.app", "a..b.app", "/etc.app"])
def test_what_is_no_dotted_path_is_told_and_leads_out_of_no_folder(target: str, tmp_path: Path) -> None:
    assert problem(target, tmp_path)
