"""Log lines on disk: order, rotation, choosing, following, several writers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.logbook import Entry, LogBook, path_of
from millrace.logbook import book as book_module
from millrace.wire import Line


def entry(ts: float, text: str = "x", function: str = "f", request_id: str = "", ids: tuple[str, ...] = ()) -> Entry:
    return Entry(ts, "INFO", function, "stdout", text, request_id, ids, 7)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[LogBook]:
    book = LogBook(tmp_path / "logs")
    yield book
    book.close()


def test_what_is_written_is_read_back_in_order_of_time(book: LogBook, tmp_path: Path) -> None:
    for ts, function in ((1, "f"), (4, "f"), (2, "g"), (3, "g")):
        book.write(entry(ts, function=function))
    book.flush()
    assert [(one.ts, one.function) for one in book.read()] == [(1, "f"), (2, "g"), (3, "g"), (4, "f")]
    assert [one.ts for one in book.read("g")] == [2, 3]
    assert list(book.read("unheard_of")) == []
    assert not list(tmp_path.glob("logs/unheard_of*"))
    assert next(book.read("f")) == entry(1)


def test_lines_of_replicas_get_level_and_stream(book: LogBook) -> None:
    write = book.writer("f")
    for stream in ("stdout", "stderr", "WARNING"):
        write(Line(stream, "hm", "r", ("a",), 5.0, 42))
    book.flush()
    assert [(one.level, one.stream) for one in book.read()] == [
        ("INFO", "stdout"),
        ("ERROR", "stderr"),
        ("WARNING", "log"),
    ]
    assert next(book.read()) == Entry(5.0, "INFO", "f", "stdout", "hm", "r", ("a",), 42)


def test_choosing_by_message_or_request(book: LogBook) -> None:
    book.write(entry(1, "one", request_id="r1", ids=("a", "b")))
    book.write(entry(2, "two", request_id="r2", ids=("c",)))
    book.flush()
    assert [one.text for one in book.read(id="b")] == ["one"]
    assert [one.text for one in book.read(id="r2")] == ["two"]
    assert list(book.read(id="nobody")) == []


def test_a_big_batch_names_its_messages_once(book: LogBook, tmp_path: Path) -> None:
    ids = tuple(f"message-{n}" for n in range(500))
    for ts in range(20):
        book.write(entry(ts, request_id="r1", ids=ids))
    book.write(entry(20, "other", request_id="r2", ids=("z",)))
    book.flush()
    assert [one.ts for one in book.read(id="message-321")] == list(range(20))
    assert (tmp_path / "logs" / "f.jsonl").read_bytes().count(b"message-321") == 1


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    book = LogBook(tmp_path, max_bytes=1_000, files=3)
    for ts in range(200):
        book.write(entry(ts, "x" * 50))
        book.flush()
    seen = [one.ts for one in book.read()]
    book.close()
    assert seen == list(range(int(seen[0]), 200))
    assert 0 < len(seen) < 100
    assert {path.name for path in tmp_path.glob("f.jsonl*")} >= {"f.jsonl.1", "f.jsonl.2"}
    assert len(list(tmp_path.glob("f.jsonl*"))) <= 3
    assert all(path.stat().st_size < 1_200 for path in tmp_path.glob("f.jsonl*"))


def test_following_crosses_rotations_and_processes(tmp_path: Path) -> None:
    writer, reader = LogBook(tmp_path, max_bytes=300), LogBook(tmp_path, max_bytes=300)
    writer.write(entry(0))
    writer.flush()
    following = reader.read(follow=True)
    assert next(following).ts == 0
    for ts in range(1, 8):
        writer.write(entry(ts))
        writer.flush()
    assert [one.ts for one in islice(following, 7)] == list(range(1, 8))
    writer.write(entry(8, function="later"))
    writer.flush()
    assert next(following).function == "later"
    writer.close()


def test_following_waits_for_what_is_not_there_yet(book: LogBook, monkeypatch: pytest.MonkeyPatch) -> None:
    def instead_of_waiting(_: float) -> None:
        book.write(entry(1, "at last"))
        book.flush()

    monkeypatch.setattr(time, "sleep", instead_of_waiting)
    assert next(book.read(follow=True)).text == "at last"


def test_two_writers_lose_nothing_over_rotations(tmp_path: Path) -> None:
    books = [LogBook(tmp_path, max_bytes=2_000, files=50) for _ in range(2)]

    def write(book: LogBook, first: int) -> None:
        for ts in range(first, first + 100):
            book.write(entry(ts))
            book.flush()

    threads = [threading.Thread(target=write, args=(book, 1000 * n)) for n, book in enumerate(books)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.ts for one in books[0].read()) == [*range(100), *range(1000, 1100)]
    for book in books:
        book.close()


def test_half_a_line_waits_and_a_torn_one_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = LogBook(tmp_path)
    book.write(entry(1))
    book.close()
    with (tmp_path / "f.jsonl").open("ab", buffering=0) as file:
        file.write(b'{"ts": 2, "lev\n')
        file.write(b'{"ts":3,"level":"INFO","function":"f","stre')
        monkeypatch.setattr(time, "sleep", lambda _: file.write(b'am":"stdout","text":"whole"}\n'))
        following = book.read(follow=True)
        assert next(following).ts == 1
        assert next(following).text == "whole"


def test_a_full_disk_does_not_fail_the_caller(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    book = LogBook(tmp_path / "logs")
    book.write(entry(1))
    book.flush()
    book.close()
    book.close()


def test_too_many_waiting_lines_are_dropped_and_counted(book: LogBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "_MAX_WAITING", 0)
    book.write(entry(1))
    book.write(entry(2))
    monkeypatch.undo()
    book.write(entry(3))
    book.flush()
    first, second = book.read()
    assert first.ts == 3
    assert second.text.startswith("2 lines were dropped")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a\0b", "/etc/passwd"])
def test_names_do_not_lead_out_of_the_folder(book: LogBook, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a function's name"):
        path_of(tmp_path, name)
    with pytest.raises(ValueError, match="not a function's name"):
        list(book.read(name))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=10))
def test_any_text_comes_back(tmp_path: Path, texts: list[str]) -> None:
    folder = tmp_path / os.urandom(8).hex()
    book = LogBook(folder)
    for ts, text in enumerate(texts):
        book.write(entry(ts, text))
    book.flush()
    assert [one.text for one in book.read()] == texts
    book.close()
