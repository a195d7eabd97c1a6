"""The demo's parts without a server: the bad files, the plan, the answers of an HTTP server that is none."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from millrace.demo import scratch
from millrace.demo.counters import Counters
from millrace.demo.load import Crowd, accepted_ids, plan
from millrace.demo.scratch import FUSE, Scan, copy_project, find_example, read_scans, require_extra
from millrace.demo.spoilt import fused, spoil, truncated
from millrace.errors import MillraceError


def png(value: int = 0) -> bytes:
    file = io.BytesIO()
    image = Image.new("L", (8, 8), value)
    image.putpixel((3, 3), 200)
    image.save(file, "PNG")
    return file.getvalue()


SCANS = [Scan(f"{number:04d}-{number % 10}.png", number % 10, png(number)) for number in range(100)]


def test_the_truncated_file_cannot_be_read() -> None:
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(truncated(png()))).load()


def test_the_fuse_is_a_picture_like_any_other() -> None:
    with Image.open(io.BytesIO(fused(png()))) as image:
        image.load()
        assert image.text == {"Comment": "exit"}  # type: ignore[attr-defined]
    assert FUSE in fused(png())
    assert not any(FUSE in scan.body for scan in SCANS)


def test_everything_is_planned_once_and_some_of_it_twice() -> None:
    spoilt = spoil(png())
    parcels = plan(SCANS, spoilt)
    names = [name for parcel in parcels for name, _ in parcel.files]
    assert sorted(names) == sorted([scan.name for scan in SCANS] + [each.name for each in spoilt])
    assert any(parcel.form and len(parcel.files) > 1 for parcel in parcels)
    assert any(parcel.repeat for parcel in parcels)
    assert not any(parcel.repeat and parcel.form for parcel in parcels)


def test_the_example_is_found_and_copied_without_what_it_made(tmp_path: Path) -> None:
    assert (find_example() / "app.py").is_file()
    copy_project(tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {"app.py", "train.py", "millrace.yml", "fragile.py"} <= names
    assert not names & {"digits.onnx", "held-out", ".millrace"}


def test_a_missing_example_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "__file__", str(tmp_path / "millrace" / "demo" / "scratch.py"))
    with pytest.raises(MillraceError, match="no examples/digits"):
        find_example()


def test_the_example_imports_nothing_of_millrace() -> None:
    assert "import millrace" not in (find_example() / "app.py").read_text()


def test_held_out_scans_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "held-out").mkdir()
    for name in ("0003-4.png", "0001-7.png"):
        (tmp_path / "held-out" / name).write_bytes(name.encode())
    assert [(scan.name, scan.digit) for scan in read_scans(tmp_path)] == [("0001-7.png", 7), ("0003-4.png", 4)]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skl2onnx" else real(name))
    with pytest.raises(MillraceError, match="skl2onnx") as caught:
        require_extra()
    assert caught.value.hint == "pip install 'millrace[demo]'"


async def test_training_that_fails_says_what_it_printed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('no data'); raise SystemExit(3)")
    with pytest.raises(MillraceError, match="exited with 3") as caught:
        await scratch.train(tmp_path)
    assert "no data" in caught.value.hint
    (tmp_path / "train.py").write_text("print('fine')")
    assert await scratch.train(tmp_path) == "fine"


def test_answers_to_a_post() -> None:
    assert accepted_ids(httpx.Response(202, json={"id": "a"})) == ["a"]
    assert accepted_ids(httpx.Response(202, json={"ids": ["a", "b"]})) == ["a", "b"]
    with pytest.raises(MillraceError, match="answered 413"):
        accepted_ids(httpx.Response(413, text="too large"))


class FakeServer:
    """Accepts by name, answers busy once, knows a repeated key, and finishes at the second look."""

    def __init__(self) -> None:
        self.busy = True
        self.looks: dict[str, int] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            id = request.url.path.rpartition("/")[2]
            self.looks[id] = self.looks.get(id, 0) + 1
            return httpx.Response(200, json={"id": id, "state": "done" if self.looks[id] > 1 else "queued"})
        if self.busy:
            self.busy = False
            return httpx.Response(429, headers={"retry-after": "0"})
        if key := request.headers.get("idempotency-key"):
            return httpx.Response(202, json={"id": f"id-{key}"})
        files = (await request.aread()).count(b'filename="')
        return httpx.Response(202, json={"ids": [f"form-{len(self.looks)}-{index}" for index in range(files)]})


async def test_a_crowd_posts_everything_and_waits_for_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    real = httpx.AsyncClient
    monkeypatch.setattr(
        httpx, "AsyncClient", lambda **kw: real(base_url=kw["base_url"], transport=httpx.MockTransport(server))
    )
    noticed: list[int] = []
    crowd = Crowd("http://server", lambda crowd: noticed.append(len(crowd.answers)))
    await crowd.run([parcel for parcel in plan(SCANS, []) if not parcel.form])
    assert len(crowd.acceptances) == 50 + 3  # half one by one, each twentieth twice
    assert len(crowd.answers) == 50
    assert all(answer["state"] == "done" for answer in crowd.answers.values())
    assert noticed[-1] == 50


async def test_a_refused_post_ends_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpx.AsyncClient
    refuse = httpx.MockTransport(lambda _: httpx.Response(400, text="no"))
    monkeypatch.setattr(httpx, "AsyncClient", lambda **kw: real(base_url=kw["base_url"], transport=refuse))
    with pytest.raises(ExceptionGroup):
        await Crowd("http://server").run(plan(SCANS, []))


METRICS = """\
# TYPE millrace_messages_settled_total counter
millrace_messages_settled_total{function="read",verdict="done"} 90.0
millrace_messages_settled_total{function="read",verdict="dead"} 3.0
millrace_messages_settled_total{function="read",verdict="retry"} 5.0
# TYPE millrace_commit_seconds histogram
millrace_commit_seconds_bucket{function="read",le="+Inf"} 4.0
millrace_commit_seconds_sum{function="read"} 0.02
millrace_commit_seconds_count{function="read"} 4.0
# TYPE millrace_batches_total counter
millrace_batches_total{function="read",reason="full"} 4.0
# TYPE millrace_batch_size histogram
millrace_batch_size_bucket{function="read",le="1.0"} 3.0
millrace_batch_size_bucket{function="read",le="2.0"} 3.0
millrace_batch_size_bucket{function="read",le="4.0"} 7.0
millrace_batch_size_bucket{function="read",le="+Inf"} 8.0
"""


def test_counters_are_read_from_the_metrics() -> None:
    counters = Counters.read(METRICS)
    assert counters.settled == 93
    assert counters.commit_s == 0.005
    assert counters.releases == {"full": 4}
    assert counters.batch_sizes == {"1": 3, "3-4": 4, "over 4": 1}
