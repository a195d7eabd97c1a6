"""The model contract, without a process around it."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy
import pytest

from millrace.errors import LoadError
from millrace.replica.model import Model, load
from millrace.replica.output import working
from millrace.types import Message
from millrace.wire import Ran, Run, Spec

Load = Callable[..., Model]
_numbers = itertools.count()


@pytest.fixture
def load_model(tmp_path: Path) -> Iterator[Load]:
    """Writes a module and loads its class M."""
    path, modules = list(sys.path), set(sys.modules)

    def build(source: str, threads: int = 4) -> Model:
        name = f"modelled_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(dedent(source))
        return load(Spec("f", "model", f"{name}.M", str(tmp_path), 30.0, 0, threads))

    yield build
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def run(model: Model, *bodies: bytes, kind: str = "text/plain", batch: int = 1) -> Ran:
    began: list[None] = []
    ran = model.run(batch_of(*bodies, kind=kind, batch=batch), lambda: began.append(None))
    assert len(began) == 1
    return ran


def batch_of(*bodies: bytes, kind: str = "text/plain", batch: int = 1) -> Run:
    messages = [Message(f"m{index}", body, {"content-type": kind}) for index, body in enumerate(bodies)]
    return Run(batch, f"r{batch}", "q", messages, [1] * len(bodies), ["x"] * len(bodies))


def values(ran: Ran) -> list[Any]:
    assert ran.failure is None
    return [None if value is None else json.loads(value) for value in ran.values]


def test_all_methods_in_order(load_model: Load) -> None:
    model = load_model("""
        class M:
            def load(self): self.suffix = "!"
            def preprocess(self, message): return message.text().upper()
            def predict(self, inputs): return [text + self.suffix for text in inputs]
            def postprocess(self, output): return {"says": output}
    """)
    assert values(run(model, b"a", b"b")) == [{"says": "A!"}, {"says": "B!"}]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"a": 1}', "dict"),
        ("application/problem+json; charset=utf-8", b"[1]", "list"),
        ("text/plain; charset=utf-8", "ü".encode(), "str"),
        ("image/png", b"\x89", "bytes"),
    ],
)
def test_without_preprocess_the_content_type_decides(load_model: Load, kind: str, body: bytes, expected: str) -> None:
    model = load_model("""
        class M:
            def predict(self, inputs): return [type(one).__name__ for one in inputs]
    """)
    model.ahead(batch_of(body, kind=kind))  # nothing to do ahead
    assert values(run(model, body, kind=kind)) == [expected]


def test_a_body_that_is_not_what_it_says_fails_alone(load_model: Load) -> None:
    model = load_model("""
        class M:
            def predict(self, inputs): return inputs
    """)
    ran = run(model, b"1", b"{", b"3", kind="application/json")
    assert values(ran) == [1, None, 3]
    assert ran.failures[1].type == "msgspec.DecodeError"
    assert "ValueError" in ran.failures[1].mro


def test_preprocess_and_postprocess_fail_item_by_item(load_model: Load) -> None:
    model = load_model("""
        class M:
            def preprocess(self, message):
                if message.text() == "bad": raise OSError("truncated")
                return message.text()
            def predict(self, inputs):
                assert "bad" not in inputs
                return inputs
            def postprocess(self, output):
                if output == "odd": raise SystemExit(1)
                return output
    """)
    ran = run(model, b"a", b"bad", b"odd", b"b")
    assert values(ran) == ["a", None, None, "b"]
    assert {index: failure.type for index, failure in ran.failures.items()} == {1: "OSError", 2: "SystemExit"}
    assert ran.failures[1].message == "truncated"
    assert "in preprocess" in ran.failures[1].traceback
    assert "replica" not in ran.failures[1].traceback


def test_predict_never_sees_an_empty_list(load_model: Load) -> None:
    model = load_model("""
        class M:
            def preprocess(self, message): raise ValueError("no")
            def predict(self, inputs): raise AssertionError("called")
    """)
    ran = run(model, b"a", b"b")
    assert ran.failure is None
    assert ran.values == [None, None]
    assert set(ran.failures) == {0, 1}


def test_what_predict_raises_fails_the_batch_and_keeps_what_preprocess_refused(load_model: Load) -> None:
    model = load_model("""
        class M:
            def preprocess(self, message): return int(message.text())
            def predict(self, inputs): raise RuntimeError("out of order")
    """)
    ran = run(model, b"1", b"x")
    assert ran.values == []
    assert ran.failure is not None
    assert (ran.failure.type, ran.failure.message) == ("RuntimeError", "out of order")
    assert list(ran.failures) == [1]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("inputs[:3]", "predict returned 3 outputs for 4 inputs"),
        ("None", "predict returned a NoneType, expected a list for 4 inputs"),
        ("'abcd'", "predict returned a str, expected a list for 4 inputs"),
        ("set('abcd')", "predict returned a set, expected a list for 4 inputs"),
        ("(one for one in inputs)", "predict returned a generator, expected a list for 4 inputs"),
    ],
)
def test_wrong_outputs(load_model: Load, returned: str, said: str) -> None:
    model = load_model(f"""
        class M:
            def predict(self, inputs): return {returned}
    """)
    failure = run(model, b"a", b"b", b"c", b"d").failure
    assert failure is not None
    assert (failure.type, failure.message) == ("WrongOutputs", said)


def test_tuples_and_arrays_are_outputs_too(load_model: Load) -> None:
    model = load_model("""
        import numpy
        class M:
            def predict(self, inputs): return numpy.arange(len(inputs))
            def postprocess(self, output): return output.item()
    """)
    assert values(run(model, b"a", b"b")) == [0, 1]


def test_a_value_that_is_not_json_fails_alone(load_model: Load) -> None:
    model = load_model("""
        import numpy
        class M:
            def predict(self, inputs): return [{"scores": [1, numpy.float32(2)]}, "fine"]
    """)
    ran = run(model, b"a", b"b")
    assert values(ran) == [None, "fine"]
    assert ran.failures[0].type == "NotJson"
    assert ran.failures[0].message == "$.scores[1]: numpy.float32 is not JSON; return x.item()"
    assert numpy.float32.__name__ in ran.failures[0].message


def test_the_next_batch_is_preprocessed_during_predict(load_model: Load) -> None:
    model = load_model("""
        import threading
        arrived = threading.Event()
        class M:
            def preprocess(self, message):
                if message.text() == "second": arrived.set()
                return message.text()
            def predict(self, inputs): return [arrived.wait(20) for _ in inputs]
    """)
    second = batch_of(b"second", batch=2)
    in_predict = threading.Event()
    first: list[Ran] = []
    thread = threading.Thread(target=lambda: first.append(model.run(batch_of(b"first"), in_predict.set)))
    thread.start()
    assert in_predict.wait(20)
    model.ahead(second)
    thread.join(20)
    assert values(first[0]) == [True]
    assert values(model.run(second, lambda: None)) == [True]


def test_one_thread_preprocesses_one_at_a_time(load_model: Load) -> None:
    model = load_model(
        """
        import threading
        inside = threading.Lock()
        class M:
            def preprocess(self, message):
                assert inside.acquire(blocking=False)
                inside.release()
            def predict(self, inputs): return inputs
            def postprocess(self, output):
                return threading.current_thread() is threading.main_thread()
        """,
        threads=1,
    )
    assert values(run(model, *[b"x"] * 50)) == [True] * 50


def test_each_item_knows_its_message(load_model: Load) -> None:
    model = load_model("""
        from millrace.replica.output import working
        class M:
            def preprocess(self, message): return list(working.get())
            def predict(self, inputs): return inputs
            def postprocess(self, output): return [output, list(working.get())]
    """)
    assert values(run(model, b"a", b"b")) == [[["r1", [id]]] * 2 for id in ("m0", "m1")]
    assert working.get() == ("", ())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class M:\n    def predicts(self, inputs): ...", "did you mean predicts?"),
        ("M = 3", "is a int"),
        ("class M:\n    async def predict(self, inputs): ...", "predict of M is async"),
        ("class M:\n    predict = 3", "predict of M is a int"),
    ],
)
def test_a_class_that_is_no_model(load_model: Load, source: str, said: str) -> None:
    with pytest.raises(LoadError, match=said.replace("?", r"\?")):
        load_model(source)


def test_what_load_raises_passes_through(load_model: Load) -> None:
    with pytest.raises(FileNotFoundError, match="weights"):
        load_model("""
            class M:
                def load(self): raise FileNotFoundError("weights")
                def predict(self, inputs): ...
        """)


def test_version(load_model: Load) -> None:
    assert load_model("class M:\n    version = '7'\n    def predict(self, inputs): ...").version == "7"
    assert load_model("__version__ = '8'\nclass M:\n    def predict(self, inputs): ...").version == "8"
    by_source = [load_model(f"class M:\n    def predict(self, inputs): return {n}").version for n in (1, 1, 2)]
    assert by_source[0] == by_source[1] != by_source[2]
    assert len(by_source[0]) == 12
