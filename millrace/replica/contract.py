"""What every kind of function offers to the main loop, and the two things all kinds need: failures and JSON."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from millrace.errors import Dead, LoadError, Retry
from millrace.types import Failure
from millrace.wire import Ran, Run

_NOT_THE_USERS = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen importlib")
_MAX_TEXT = 8_000
_MAX_DEPTH = 64


class Contract(Protocol):
    """A loaded function; `replica/<kind>.py` offers `load(spec) -> Contract`, which raises what user code raised."""

    version: str

    def ahead(self, run: Run) -> None:
        """Told of a batch when it arrives, by the reading thread: may begin what needs no turn; never blocks."""

    def run(self, run: Run, began: Callable[[], None]) -> Ran:
        """Run a batch in the main thread. Never raises.

        Calls `began` once, when the time limit starts to count, unless it counts from its turn, as a handler's does.
        """
        ...


class NotJson(TypeError):
    """A result holds something that JSON has no form for."""


class Unloadable(LoadError):
    """The user's function cannot be loaded, and `failure` is what callers are told of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, failure.traceback)
        self.failure = failure


def dotted(kind: type) -> str:
    """An exception class as users write it: `ValueError`, `app.BadPet`, `PIL.UnidentifiedImageError`, `Retry`."""
    module = kind.__module__
    if module == "builtins" or module.partition(".")[0] == "millrace":
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


def clean(text: str, limit: int = _MAX_TEXT) -> str:
    """Text that any encoder takes (no lone surrogates) and that is not longer than `limit` characters and a note."""
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n... {len(text) - limit} characters left out ...\n{text[-limit // 2 :]}"
    return text.encode("utf-8", "replace").decode()


def failure_of(error: BaseException) -> Failure:
    """An exception as a value: its dotted type, text, traceback from the user's first frame on, and classes."""
    if isinstance(error, Unloadable):
        return error.failure
    return Failure(
        type=dotted(type(error)),
        message=_text_of(error),
        traceback=_traceback_of(error),
        retry=_wish_of(error),
        after_s=error.after if isinstance(error, Retry) else None,
        mro=tuple(dotted(kind) for kind in type(error).__mro__ if kind is not object),
    )


def _wish_of(error: BaseException) -> bool | None:
    if isinstance(error, Retry):
        return True
    return False if isinstance(error, Dead) else None


def _text_of(error: BaseException) -> str:
    try:
        return clean(str(error))
    except Exception as broken:  # the exception's own __str__ failed
        return f"<{dotted(type(error))} whose text cannot be had: {dotted(type(broken))}>"


def _traceback_of(error: BaseException) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frame = frame.tb_next
    if frame is None and isinstance(error, LoadError):
        return ""  # ours from end to end: its text says it all
    try:
        return clean("".join(traceback.format_exception(type(error), error, frame)).rstrip())
    except Exception:
        return ""


def _refuse(value: object) -> Any:
    raise NotJson(type(value).__name__)


_encode = msgspec.json.Encoder(enc_hook=_refuse).encode


def to_json(value: object) -> bytes:
    """A result as JSON bytes; raises NotJson naming the type and path of what does not fit."""
    try:
        return _encode(value)
    except Exception as error:  # TypeError, OverflowError, RecursionError, UnicodeEncodeError: each is about the value
        raise NotJson(_explain(value) or f"$: {type(value).__name__} is not JSON: {error}") from None


def _explain(value: object, path: str = "$", depth: int = 0) -> str:
    """What is wrong with the first part of `value` that cannot be encoded, "" when nothing is."""
    if depth > _MAX_DEPTH:
        return f"{path[:80]}...: the value is nested too deeply or contains itself"
    if isinstance(value, Mapping):
        return _first(_explain_item(key, item, path, depth) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return _first(_explain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
    try:
        _encode(value)
    except Exception as error:
        return f"{path}: {_describe(value, error)}"
    return ""


def _first(faults: Any) -> str:
    return next((fault for fault in faults if fault), "")


def _explain_item(key: object, item: object, path: str, depth: int) -> str:
    try:
        _encode({key: None})
    except UnicodeEncodeError as error:
        return f"{path}: the key {key!r:.80} is not valid Unicode ({error})"
    except Exception:
        return f"{path}: the key {key!r:.80} is a {_full_name(key)}; JSON keys are strings"
    return _explain(item, f"{path}.{key}", depth + 1)


def _full_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _describe(value: object, error: Exception) -> str:
    name = _full_name(value)
    if isinstance(value, str):
        return f"{name} is not valid Unicode ({error})"
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return f"{name} is not JSON; return x.item()"
    if callable(getattr(value, "tolist", None)):
        return f"{name} is not JSON; return x.tolist()"
    return f"{name} is not JSON; return dicts, lists, strings, numbers, booleans or None"
