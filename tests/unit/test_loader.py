"""Finding user code, and saying why it was not found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.errors import LoadError
from millrace.replica.loader import resolve, suggest, version_of


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "petshop.py").write_text(
        "import os\nclass PetClassifier:\n    class Inner: ...\ndef helper(): ...\n_hidden = 1\n"
    )
    (tmp_path / "broken_shop.py").write_text("import no_such_library\n")
    (tmp_path / "torn_shop.py").write_text("def f(:\n")
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "__init__.py").write_text("")
    (tmp_path / "shops" / "cats.py").write_text("class Cat: ...\n")
    yield str(tmp_path)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_finds_classes_of_modules_packages_and_classes(root: str) -> None:
    assert resolve("petshop.PetClassifier", root).__name__ == "PetClassifier"
    assert resolve("petshop.PetClassifier.Inner", root).__name__ == "Inner"
    assert resolve("shops.cats.Cat", root).__name__ == "Cat"


def test_a_missing_name_lists_what_there_is_and_the_nearest(root: str) -> None:
    with pytest.raises(LoadError) as caught:
        resolve("petshop.PetClasifier", root)
    assert caught.value.problem == "cannot find petshop.PetClasifier: petshop has no PetClasifier"
    assert caught.value.hint == "did you mean PetClassifier? petshop has PetClassifier, helper"


def test_a_missing_name_in_a_package_tells_every_attempt(root: str) -> None:
    with pytest.raises(LoadError) as caught:
        resolve("shops.dogs.Dog", root)
    assert f"no module shops.dogs in {root}" in caught.value.problem
    assert "shops has no dogs" in caught.value.problem


def test_a_missing_module_names_the_nearest_file(root: str) -> None:
    with pytest.raises(LoadError) as caught:
        resolve("petshp.PetClassifier", root)
    assert f"no module petshp in {root}" in caught.value.problem
    assert caught.value.hint == "did you mean petshop.PetClassifier (petshop.py:2)?"
    with pytest.raises(LoadError) as caught:
        resolve("petshp.Nobody", root)
    assert "did you mean petshop?" in caught.value.hint
    assert "shops" in caught.value.hint


@pytest.mark.parametrize("target", ["petshop", "", "petshop:PetClassifier", "petshop.", "petshop.a b"])
def test_not_a_path(root: str, target: str) -> None:
    with pytest.raises(LoadError, match="not a dotted path"):
        resolve(target, root)


def test_a_file_that_has_the_name_of_a_library(root: str) -> None:
    (Path(root) / "queue.py").write_text("class Model: ...\n")
    (Path(root) / "sys.py").write_text("class Model: ...\n")
    for name in ("queue", "sys"):
        with pytest.raises(LoadError) as caught:
            resolve(f"{name}.Model", root)
        assert caught.value.hint.endswith("rename the file")


def test_the_modules_own_error_is_the_cause(root: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        resolve("broken_shop.Shop", root)
    with pytest.raises(SyntaxError):
        resolve("torn_shop.f", root)


def test_the_root_comes_first_and_once(root: str) -> None:
    resolve("petshop.helper", root)
    resolve("petshop.helper", root)
    assert sys.path.count(root) == 1
    assert sys.path[0] == root


def test_suggest() -> None:
    assert suggest("x", [], "app") == "app has nothing of its own"
    assert suggest("zzz", [f"name{i}" for i in range(30)], "app").endswith("name19, ...")


def test_version_of_what_has_no_source() -> None:
    assert version_of("sys", object()) == sys.version
    assert version_of("no_such_module") == ""
