"""--reload without processes: a scripted child, and a clock that is whatever happens at each look."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from millrace.cli import reload
from millrace.cli.reload import snapshot, supervise


class Child:
    """A process that ends when it is told to, with 0 after SIGTERM and -2 after SIGINT."""

    def __init__(self, command: list[str], process_group: int) -> None:
        self.command = command
        self.signals: list[int] = []
        self.code: int | None = None

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        self.code = 0 if number == signal.SIGTERM else -number

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        return self.code

    def wait(self) -> int:
        assert self.code is not None
        return self.code


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    born: list[Child] = []

    def spawn(*arguments: Any, **options: Any) -> Child:
        born.append(Child(*arguments, **options))
        return born[-1]

    monkeypatch.setattr(reload.subprocess, "Popen", spawn)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield born
    for number, handler in before.items():
        signal.signal(number, handler)


def looks(monkeypatch: pytest.MonkeyPatch, *happenings: Callable[[], object]) -> None:
    """At each look at the files, one thing happens first."""
    script = iter(happenings)
    real = reload.select.select

    def look(signals: list[int], writes: list[int], errors: list[int], poll_s: float) -> Any:
        next(script)()
        return real(signals, writes, errors, 0)

    monkeypatch.setattr(reload.select, "select", look)


def test_a_snapshot_holds_the_source_files(tmp_path: Path) -> None:
    for name in ("app.py", "millrace.yml", "sub/b.py", ".venv/c.py", "__pycache__/d.py", "data.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert {Path(path).name for path in snapshot(tmp_path)} == {"app.py", "millrace.yml", "b.py"}


def test_a_change_drains_the_child_and_starts_another(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks(
        monkeypatch,
        lambda: None,
        lambda: (tmp_path / "app.py").touch(),
        lambda: signal.raise_signal(signal.SIGINT),
    )
    assert supervise(tmp_path, ["up"]) == 130
    assert [child.signals for child in children] == [[signal.SIGTERM], [signal.SIGINT]]
    assert children[0].command[1:] == ["-m", "millrace", "up"]
    assert "changed: app.py" in capsys.readouterr().err


def test_a_child_that_failed_waits_for_its_mending(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        children[0].code = 2

    looks(monkeypatch, fail, lambda: (tmp_path / "millrace.yml").touch(), lambda: signal.raise_signal(signal.SIGTERM))
    assert supervise(tmp_path, ["up"]) == 0
    assert len(children) == 2
