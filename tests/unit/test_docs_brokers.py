"""The page on choosing a broker says what the adapters claim."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parents[2] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_brokers_is_of_this_version() -> None:
    generate = generator()
    page = (DOCS / "how-to" / "choose-a-broker.md").read_text()
    assert generate.with_brokers(page) == page, "run `make reference`"
    assert generate.broker_table().count("\n") == len(generate._CLAIMS) + len(generate._COSTS) + 4
