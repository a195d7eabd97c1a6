"""The model contract: a plain class with predict, and load, preprocess and postprocess where it has them.

    arrives → preprocess (threads, ahead of its turn) → predict (main thread, one batch at a time) → postprocess → JSON

While the main thread is in predict of one batch, the threads already preprocess the next.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from millrace.errors import LoadError
from millrace.replica.ahead import Each
from millrace.replica.contract import NotJson, failure_of, to_json
from millrace.replica.crew import Crew
from millrace.replica.loader import resolve, suggest, version_of
from millrace.types import JSON, Failure, Message
from millrace.wire import Ran, Run, Spec

_json = msgspec.json.Decoder().decode


def load(spec: Spec) -> Model:
    """Import the class, make one and load it; raises LoadError or what the user's code raises."""
    kind = resolve(spec.target, spec.root)
    if not callable(kind):
        raise LoadError(f"{spec.target} is a {type(kind).__name__}", "expected a class with a predict method")
    model = kind()
    predict = _method(model, "predict")
    if predict is None:
        names = [name for name in dir(model) if not name.startswith("_")]
        raise LoadError(f"{spec.target} has no predict method", suggest("predict", names, spec.target))
    preload = _method(model, "load")
    if preload is not None:
        preload()
    version = version_of(type(model).__module__, model)
    return Model(predict, _method(model, "preprocess"), _method(model, "postprocess"), version, spec.threads)


class Model:
    """A loaded model, seen as a Contract."""

    def __init__(
        self,
        predict: Callable[[list[Any]], Any],
        preprocess: Callable[[Message], Any] | None,
        postprocess: Callable[[Any], Any] | None,
        version: str,
        threads: int,
    ) -> None:
        self.version = version
        self._predict = predict
        self._preprocess = preprocess
        self._postprocess = postprocess
        self._crew = Crew(threads)
        self._before = ThreadPoolExecutor(threads, "preprocess")
        # Its own pool: behind the next batch's preprocess, the results of this one would wait.
        self._after = ThreadPoolExecutor(max(1, threads - 1), "postprocess")
        self._ahead: dict[int, Each] = {}

    def ahead(self, run: Run) -> None:
        """Begin to preprocess a batch in the threads; returns at once."""
        if self._preprocess is None:
            return
        each = Each(self._preprocess, run.messages, [message.id for message in run.messages], run.request_id)
        self._ahead[run.batch] = each
        each.begin(self._before, self._crew.size)

    def run(self, run: Run, began: Callable[[], None]) -> Ran:
        """Wait for the inputs, predict, postprocess."""
        arrived, cpu = time.perf_counter(), time.process_time()
        inputs, failures = self._inputs(run)
        waited_s = time.perf_counter() - arrived
        began()
        started = time.perf_counter()
        good = [index for index in range(len(inputs)) if index not in failures] if failures else range(len(inputs))
        try:
            outputs = self._outputs([inputs[index] for index in good] if failures else inputs)
        except BaseException as error:  # SystemExit too: the process must outlive what one batch does
            return Ran(run.batch, [], failures, failure_of(error), time.perf_counter() - started)
        predict_s = time.perf_counter() - started
        if isinstance(outputs, Failure):
            return Ran(run.batch, [], failures, outputs, predict_s)
        values = self._values(run, good, outputs, failures)
        self._crew.learn(time.perf_counter() - arrived, waited_s, time.process_time() - cpu)
        return Ran(run.batch, values, failures, None, predict_s)

    def _inputs(self, run: Run) -> tuple[list[Any], dict[int, Failure]]:
        if self._preprocess is None:
            return _decoded(run.messages)
        if run.batch not in self._ahead:
            self.ahead(run)
        each = self._ahead.pop(run.batch)
        each.wait()
        return each.results, each.failures

    def _outputs(self, inputs: list[Any]) -> Sequence[Any] | Failure:
        """What predict returned for all inputs, or why that cannot be used; predict never sees an empty list."""
        if not inputs:
            return []
        outputs: Any = self._predict(inputs)
        if isinstance(outputs, str | bytes | dict | set | frozenset) or not hasattr(outputs, "__len__"):
            return _wrong_outputs(f"predict returned a {type(outputs).__name__}, expected a list", len(inputs))
        if len(outputs) != len(inputs):
            return _wrong_outputs(f"predict returned {len(outputs)} outputs", len(inputs))
        rows: Sequence[Any] = outputs if isinstance(outputs, list) else list(outputs)
        return rows

    def _values(
        self, run: Run, good: Sequence[int], outputs: Sequence[Any], failures: dict[int, Failure]
    ) -> list[bytes | None]:
        values: list[bytes | None] = [None] * len(run.messages)
        results, failed = self._results(run, good, outputs)
        for place, (index, result) in enumerate(zip(good, results, strict=True)):
            if failed and place in failed:
                failures[index] = failed[place]
                continue
            try:
                values[index] = to_json(result)
            except NotJson as error:
                failures[index] = Failure("NotJson", str(error), mro=("NotJson", "TypeError", "Exception"))
        return values

    def _results(
        self, run: Run, good: Sequence[int], outputs: Sequence[Any]
    ) -> tuple[Sequence[Any], dict[int, Failure]]:
        if self._postprocess is None or not outputs:
            return outputs, {}
        ids = [run.messages[index].id for index in good]
        each = Each(self._postprocess, outputs, ids, run.request_id)
        helpers = min(self._crew.size, len(outputs)) - 1
        each.begin(self._after, helpers)
        each.work()
        each.wait()
        return each.results, each.failures


def _method(model: object, name: str) -> Callable[..., Any] | None:
    found = getattr(model, name, None)
    if found is None:
        return None
    if not callable(found):
        raise LoadError(f"{name} of {type(model).__qualname__} is a {type(found).__name__}", "expected a method")
    if inspect.iscoroutinefunction(found):
        raise LoadError(f"{name} of {type(model).__qualname__} is async", "replicas call plain methods: use def")
    return found  # type: ignore[no-any-return]


def _wrong_outputs(what: str, expected: int) -> Failure:
    text = f"{what} for {expected} input{'' if expected == 1 else 's'}"
    return Failure("WrongOutputs", text, mro=("WrongOutputs", "ValueError", "Exception"))


def _decoded(messages: Sequence[Message]) -> tuple[list[Any], dict[int, Failure]]:
    """The inputs of a model without preprocess: JSON read, text decoded, other bodies as bytes."""
    inputs: list[Any] = []
    failures: dict[int, Failure] = {}
    read: dict[str | None, Callable[[Message], Any]] = {}
    for index, message in enumerate(messages):
        said = message.attributes.get("content-type")
        reader = read.get(said) or read.setdefault(said, _reader(message.content_type))
        try:
            inputs.append(reader(message))
        except ValueError as error:
            inputs.append(None)
            failures[index] = failure_of(error)
    return inputs, failures


def _reader(content_type: str) -> Callable[[Message], Any]:
    if content_type == JSON or content_type.endswith("+json"):
        return lambda message: _json(message.body)
    return Message.text if content_type.startswith("text/") else lambda message: message.body
