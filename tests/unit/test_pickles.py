"""What a pickle wants is read from its opcodes: nothing is loaded, whatever the protocol."""

from __future__ import annotations

import datetime
import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.cli.pickled import pickle_warnings
from millrace.replica.pickles import Wanted, missing, wanted


class Bomb:
    """Deletes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.remove, (self.path,)


def names(data: bytes) -> list[Wanted]:
    return list(wanted(io.BytesIO(data)))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_names_of_every_protocol(protocol: int) -> None:
    value = [OrderedDict(a=1), datetime.date(2026, 1, 1), "datetime", "date", datetime.time(1), OrderedDict()]
    found = names(pickle.dumps(value, protocol))
    assert set(found) == {
        Wanted("collections", "OrderedDict"),
        Wanted("datetime", "date"),
        Wanted("datetime", "time"),
    } | ({Wanted("_codecs", "encode")} if protocol < 3 else set())


def test_two_names_of_one_module_share_its_memo() -> None:
    found = names(pickle.dumps([datetime.date, datetime.time, datetime.datetime]))
    assert found == [Wanted("datetime", "date"), Wanted("datetime", "time"), Wanted("datetime", "datetime")]


def test_nothing_is_loaded(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("alive")
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Bomb(str(victim))))
    assert missing(file, tmp_path) == []
    assert victim.read_text() == "alive"


def pickle_of(module: str, name: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"."


@pytest.mark.parametrize(
    ("module", "name", "why"),
    [
        ("__main__", "preprocess", "the script that made the pickle defined it itself"),
        ("helper", "Gone", "helper.py does not define it"),
        ("helper", "Kept", ""),
        ("helper", "Kept.method", ""),
        ("helper", "alias", ""),
        ("helper", "CONSTANT", ""),
        ("package.part", "thing", ""),
        ("package.absent", "thing", "there is no module package.absent in the project or the environment"),
        ("nowhere_at_all", "x", "there is no module nowhere_at_all in the project or the environment"),
        ("starred", "x", ""),
        ("broken", "x", ""),
        ("json", "loads", ""),
        ("builtins", "set", ""),
        ("json.absent", "x", "there is no module json.absent in the project or the environment"),
    ],
)
def test_what_will_not_be_there(tmp_path: Path, module: str, name: str, why: str) -> None:
    (tmp_path / "helper.py").write_text(
        "raise SystemExit('imported')\nfrom os import path as alias\nCONSTANT = 1\nclass Kept: pass\n"
    )
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "part.py").write_text("def thing(): pass\n")
    (tmp_path / "starred.py").write_text("from os import *\n")
    (tmp_path / "broken.py").write_text("def (\n")
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle_of(module, name))
    assert [each.why for each in missing(file, tmp_path)] == ([why] if why else [])


def test_what_comes_behind_is_read_until_it_is_no_pickle() -> None:
    assert names(pickle_of("a", "b")[:-1] + b"\xff\x00garbage") == [Wanted("a", "b")]


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(data: bytes) -> None:
    names(data)
    names(pickle.dumps(OrderedDict(a=1))[: len(data)] + data)


def test_check_names_the_pickle_and_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pkl").write_bytes(pickle_of("__main__", "preprocess"))
    (tmp_path / "fine.joblib").write_bytes(pickle.dumps(OrderedDict(a=1)))
    for skipped in ("env/lib", "node_modules"):
        (tmp_path / skipped).mkdir(parents=True)
        (tmp_path / skipped / "other.pkl").write_bytes(pickle_of("__main__", "x"))
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (told,) = [str(warning) for warning in pickle_warnings(tmp_path)]
    assert told.startswith("models/model.pkl: warning: this pickle will not load; expected names of modules that lie")
    assert "__main__.preprocess (the script that made the pickle defined it itself)" in told
