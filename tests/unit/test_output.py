"""Printed and logged text becomes Lines that know what was being worked on."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from millrace.replica.output import Output, Work, working
from millrace.wire import Line


@contextmanager
def installed() -> Iterator[tuple[Output, list[Line]]]:
    """As in a replica; within the test's body, since pytest has streams of its own for each phase of a test."""
    root = logging.getLogger()
    before = sys.stdout, sys.stderr, root.level, root.handlers
    root.handlers = []
    lines: list[Line] = []
    output = Output(lines.append)
    output.install()
    try:
        yield output, lines
    finally:
        sys.stdout, sys.stderr, root.level, root.handlers = before


def test_print_sends_at_the_newline() -> None:
    with installed() as (_, lines):
        print("a", 1, end="")
        assert not lines
        print(" end\nnext\r\n", end="")
        print("oops", file=sys.stderr)
        assert [(line.stream, line.text) for line in lines] == [
            ("stdout", "a 1 end"),
            ("stdout", "next"),
            ("stderr", "oops"),
        ]
        assert lines[0].pid == os.getpid()
        assert lines[0].at > 0


def test_flush_sends_what_has_no_newline() -> None:
    with installed() as (_, lines):
        print("half", end="", flush=True)
        print()
        assert [line.text for line in lines] == ["half", ""]


def test_lines_belong_to_the_batch() -> None:
    with installed() as (output, lines):
        with output.during("r1", ["a", "b"]):
            print("predicting")
            print("no newline", end="")
            thread = threading.Thread(target=print, args=("from a thread of the user's",))
            thread.start()
            thread.join()
        print("idle")
        assert [(line.text, line.request_id, line.message_ids) for line in lines] == [
            ("predicting", "r1", ("a", "b")),
            ("from a thread of the user's", "r1", ("a", "b")),
            ("no newline", "r1", ("a", "b")),
            ("idle", "", ()),
        ]


def test_threads_do_not_mix_their_lines() -> None:
    with installed() as (_, lines):
        turn = threading.Barrier(2)

        def write(name: str) -> None:
            working.set(Work("r", (name,)))
            for _ in range(20):
                turn.wait(20)
                print(name, end="")
            print()

        threads = [threading.Thread(target=write, args=(name,)) for name in "xy"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted((line.text, line.message_ids) for line in lines) == [("x" * 20, ("x",)), ("y" * 20, ("y",))]


def test_logging_keeps_its_level_and_traceback() -> None:
    with installed() as (_, lines):
        log = logging.getLogger("pets")
        log.debug("not shown")
        log.info("loaded %d", 3)
        try:
            raise ValueError("bad")
        except ValueError:
            log.exception("failed")
        log.warning("%d", "not a number")
        assert [(line.stream, line.text) for line in lines[:3]] == [
            ("INFO", "loaded 3"),
            ("ERROR", "failed"),
            ("ERROR", "Traceback (most recent call last):"),
        ]
        assert "cannot be formatted" in lines[-1].text


def test_long_and_broken_text() -> None:
    with installed() as (_, lines):
        print("a" * 70_000)
        print("b" * 40_000, end="")
        print("\ud800")
        assert [len(line.text) for line in lines[:3]] == [32_768, 32_768, 4_464]
        assert sum(line.text.count("b") for line in lines) == 40_000
        assert lines[-1].text == "?"


def test_streams_are_files() -> None:
    with installed():
        assert (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
        assert sys.stdout.writable()
        assert not sys.stdout.isatty()
        assert sys.stdout.encoding == "utf-8"
        with pytest.raises(TypeError, match="must be str, not bytes"):
            sys.stdout.write(b"x")  # type: ignore[arg-type]
