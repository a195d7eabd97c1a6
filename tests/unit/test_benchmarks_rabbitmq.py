"""What the RabbitMQ rows count and compare: a figure must not flatter, and a peer may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transport_parts import Wire

from benchmarks.measured import Figure, by_turns
from benchmarks.rows import rabbitmq, rabbitmq_latency, seed
from benchmarks.table import cells, write
from benchmarks.workers import contest
from benchmarks.workers.pattern import Pattern
from benchmarks.workers.seen import Handled, Seen, payload


def handled(per_s: float, *, distinct: int = 10, times: int = 10) -> Handled:
    return Handled(10, times, distinct, per_s, 1.0, 50.0, 2.0, 9.0)


def test_only_the_middle_of_a_run_is_its_rate() -> None:
    seen = Seen(20)
    for number in range(20):
        seen.note(payload(number, 40), 100.0 + number if 1 < number < 18 else 0.0 if number < 2 else 1e6)
    assert seen.complete.is_set()
    assert seen.report().per_s == pytest.approx(16 / 117.0)  # from the 2nd, at 0 s, to the 18th, at 117 s


def test_messages_of_one_moment_count_as_one_batch() -> None:
    seen = Seen(40)
    for number in range(40):
        seen.note(payload(number, 40), float(number // 10))
    assert seen.report().per_s == 10.0


def test_what_was_handled_twice_is_counted() -> None:
    seen = Seen(10)
    for number in [*range(9), 3, 9]:
        seen.note(payload(number, 40, 1.0), 1.5)
    report = seen.report()
    assert (report.wanted, report.handled, report.distinct) == (10, 11, 10)
    assert report.p50_ms == 500.0


def test_every_repeat_begins_with_another_library() -> None:
    order: list[str] = []

    def run(library: str) -> Handled:
        order.append(library)
        return handled(1.0)

    by_turns(2, ["a", "b", "c"], run)
    assert order == ["a", "b", "c", "b", "c", "a"]


def test_a_library_is_compared_repeat_by_repeat_and_what_is_not_there_is_skipped() -> None:
    runs = {contest.OURS: [handled(10.0), handled(30.0)], "bare": [handled(10.0, distinct=9), handled(10.0, times=12)]}
    found = {each.name: each for each in contest.figures("drain", "what", runs, why="no such library")}
    bare = found["drain, the bare client"]
    assert (bare.values, bare.target) == ([1.0, 3.0], 0.7)
    assert "20/s over 10/s" in bare.remark
    assert "lost 0 and 1, handled twice 0 and 3" in bare.remark
    assert found["drain, Celery"].skipped == "no such library"


def test_rows_without_the_server_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest.Rabbitmq, "program", classmethod(lambda cls: None))
    for row in (rabbitmq, rabbitmq_latency, seed):
        assert {each.skipped for each in row.measure(True)} == {"rabbitmq-server is not installed"}


def test_the_better_of_flasks_servers_is_what_we_are_held_to() -> None:
    rates = {seed.OURS: [40.0], seed.FLASK: [5.0], seed.SINGLE: [10.0]}
    assert seed.figure("seed", rates, seed.faster(rates)).values == [4.0]
    assert seed.figure("seed: intake", rates, seed.FLASK).values == [8.0]


def test_a_pattern_gives_every_message_its_payload_and_an_id_of_its_own() -> None:
    sent: list[Any] = []
    channel = SimpleNamespace(basic_publish=lambda *words: sent.append((words[2], words[3].message_id)))
    message = Pattern("", "q", SimpleNamespace(message_id="abcd"), b"<", b">")
    for number in range(2):
        message.publish(channel, number, 30)
    assert sent == [(b"<" + payload(n, 30).encode() + b">", f"000{n}") for n in range(2)]


def test_a_figure_without_a_target_is_held_to_nothing_and_may_stand_in_another_table(tmp_path: Path) -> None:
    free = Figure("defaults", "as they come", [2.0], "at least", None, part="defaults")
    assert free.met is None
    assert cells(free)[3:5] == ("", "")
    page, readme = tmp_path / "page.md", tmp_path / "readme.md"
    for each in (page, readme):
        each.write_text("<!-- measured -->\n<!-- /measured -->\n<!-- defaults -->\n<!-- /defaults -->\n")
    write([Figure("held", "to it", [2.0], "at least", 1.0), free], "m", "d", page, readme)
    measured, _, defaults = page.read_text().partition("<!-- defaults -->")
    assert "| held |" in measured
    assert "as they come" not in measured
    assert "| defaults |" in defaults
    assert "as they come" not in readme.read_text()


def requests() -> Iterator[bytes]:
    return islice(iter([b"1", b"2", b"3"]), 2)


@pytest.mark.parametrize(
    ("answer", "written", "wrong"),
    [
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", [b"1", b"2"], ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok!", [b"1"], ""),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", [b"1"], "HTTP/1.1 500 No"),
    ],
)
async def test_images_are_posted_one_after_the_other(answer: bytes, written: list[bytes], wrong: str) -> None:
    from benchmarks.seed.crowd import Poster

    poster, wire = Poster(requests()), Wire()
    poster.connection_made(wire)  # type: ignore[arg-type]
    poster.data_received(answer[:20])
    poster.data_received(answer[20:])
    assert wire.written == written
    assert wire.closed == (len(written) == 1)
    poster.connection_lost(None)
    said = await poster.closed
    if len(written) == 1:
        assert said.startswith(wrong)
    else:
        assert said == "the connection was lost before an answer"
