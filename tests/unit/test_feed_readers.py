"""Readers: lazy, bounded, resumable anywhere, and a bad item costs only itself."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from datetime import date
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.feeds import Bad, Cursor, FeedError, Item, Reader, format_of, open_reader
from millrace.feeds import parquet as parquet_module
from millrace.feeds.folder import FolderReader


def bodies(entries: Iterable[Item | Bad]) -> list[object]:
    return [
        json.loads(each.body) if isinstance(each, Item) else f"{Path(each.where).name}: {each.problem}"
        for each in entries
    ]


def read(path: Path, text: str | bytes, **options: int) -> list[object]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return bodies(open_reader(path, **options).read(Cursor()))


def test_csv_rows_become_objects_and_quotes_hold_newlines(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", '\ufeffid,text\r\n1,"two\nlines, ""quoted"""\r\n\r\n2,plain')
    assert rows == [{"id": "1", "text": 'two\nlines, "quoted"'}, {"id": "2", "text": "plain"}]


def test_tsv(tmp_path: Path) -> None:
    assert read(tmp_path / "a.tsv", "id\ttext\n1\ta,b\n") == [{"id": "1", "text": "a,b"}]


def test_bad_csv_rows_say_where_and_cost_one_line(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", b'id,text\n1\n2,"open\n3,c\n4,\xff\n5,e\n6,"x"y\n7,f\n')
    assert rows[0] == "a.csv:2: expected 2 fields, got 1"
    assert str(rows[1]).startswith("a.csv:3: ")
    assert rows[2] == {"id": "3", "text": "c"}
    assert str(rows[3]).startswith("a.csv:5: 'utf-8' codec can't decode")
    assert rows[4] == {"id": "5", "text": "e"}
    assert str(rows[5]).startswith("a.csv:7: ")
    assert rows[6] == {"id": "7", "text": "f"}


def test_a_quote_left_open_at_the_end_costs_one_line(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", 'id\n"1\n2\n')
    assert str(rows[0]).startswith("a.csv:2: ")
    assert rows[1:] == [{"id": "2"}]


def test_a_row_over_the_limit_says_so(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", "id\n" + '"' + "x" * 30 + '"\n"y\nz\n' + "long\n" * 6 + "k\n", max_bytes=20)
    assert rows[0] == "a.csv:2: longer than the limit of 20 bytes; is a quote not closed?"
    assert rows[1] == "a.csv:3: longer than the limit of 20 bytes; is a quote not closed?"
    assert rows[2:] == [{"id": "z"}, *[{"id": "long"}] * 6, {"id": "k"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv:1: expected a header"),
        ("a,a\n", "a.csv:1: expected a header of different names, got 'a' twice"),
        ("a,,\n", "a.csv:1: expected a header of different names, got an empty one"),
        ('"a\n', "a.csv:1: the header cannot be read"),
    ],
)
def test_a_csv_header_that_names_nothing(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FeedError, match=message):
        read(tmp_path / "a.csv", text)


def test_ndjson_lines_are_sent_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"a": 1}\n\n  [2]  \r\n"three"')
    items = list(open_reader(path).read(Cursor()))
    assert [each.body for each in items if isinstance(each, Item)] == [b'{"a": 1}', b"[2]", b'"three"']


def test_bad_ndjson_says_where(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.jsonl", "1\n{\n3\n" + '"' + "x" * 30 + '"\n5\n', max_bytes=16)
    assert rows[0] == 1
    assert str(rows[1]).startswith("a.jsonl:2: not JSON: ")
    assert rows[2:] == [3, "a.jsonl:4: longer than the limit of 16 bytes", 5]


def test_text_lines_are_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("grüße\n".encode() + b"\xff\n")
    item, bad = open_reader(path).read(Cursor())
    assert isinstance(item, Item)
    assert (item.body.decode(), item.content_type) == ("grüße", "text/plain; charset=utf-8")
    assert isinstance(bad, Bad)
    assert bad.problem.startswith("not UTF-8")


def parquet(path: Path, columns: dict[str, list[object]], rows_in_group: int) -> Path:
    import pyarrow
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.table(columns), path, row_group_size=rows_in_group)
    return path


def test_parquet_rows_become_objects(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"n": [1, 2, 3], "d": [date(2026, 1, 2), None, None]}, 2)
    reader = open_reader(path)
    assert reader.total == 3
    assert bodies(reader.read(Cursor())) == [{"n": 1, "d": "2026-01-02"}, {"n": 2, "d": None}, {"n": 3, "d": None}]
    assert bodies(reader.read(Cursor(1))) == [{"n": 2, "d": None}, {"n": 3, "d": None}]
    assert bodies(reader.read(Cursor(2))) == [{"n": 3, "d": None}]


def test_parquet_rows_that_cannot_be_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["ok", "much too long for that"]}, 10)
    assert bodies(open_reader(path, max_bytes=20).read(Cursor())) == [
        {"text": "ok"},
        "a.parquet: row 2: longer than the limit of 20 bytes",
    ]

    def refuse(value: object) -> bytes:
        raise TypeError("no JSON for it")

    monkeypatch.setattr(parquet_module.msgspec.json, "encode", refuse)
    assert bodies(open_reader(path).read(Cursor()))[0] == "a.parquet: row 1: JSON cannot hold it: no JSON for it"


def test_what_is_no_parquet_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("no")
    with pytest.raises(FeedError, match=r"a\.parquet: not a Parquet file"):
        list(open_reader(path).read(Cursor()))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(FeedError, match="pip install"):
        open_reader(path)


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def names(entries: Iterable[Item | Bad]) -> list[str]:
    return [each.filename if isinstance(each, Item) else each.problem for each in entries]


def test_a_folder_gives_its_files_in_order(tmp_path: Path) -> None:
    tree(tmp_path, "b.png", "a/z.txt", "a/b/c.csv", "a.b", ".hidden", ".git/config", "c/unknown")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert open_reader(tmp_path).total is None
    for page in (1, 2, 100):
        items = list(FolderReader(tmp_path, page=page).read(Cursor()))
        assert names(items) == ["a/b/c.csv", "a/z.txt", "a.b", "b.png", "c/unknown"]
    assert [each.content_type for each in items if isinstance(each, Item)][-2:] == [
        "image/png",
        "application/octet-stream",
    ]
    assert items[3].after == Cursor(4, path="b.png")


def test_a_folder_goes_on_behind_a_path_even_one_that_is_gone(tmp_path: Path) -> None:
    tree(tmp_path, "b/1", "b/2", "c/1", "d")
    assert names(FolderReader(tmp_path, page=1).read(Cursor(2, path="b/1"))) == ["b/2", "c/1", "d"]
    assert names(FolderReader(tmp_path).read(Cursor(2, path="bb/9"))) == ["c/1", "d"]


def test_files_of_a_folder_that_cannot_be_sent(tmp_path: Path) -> None:
    tree(tmp_path, "short", "a/long-path-and-body")
    assert names(open_reader(tmp_path, max_bytes=6).read(Cursor())) == ["larger than the limit of 6 bytes", "short"]
    (tmp_path / "gone").write_text("x")
    entries = FolderReader(tmp_path).read(Cursor(2, path="a/long-path-and-body"))
    assert next(entries).after.path == "gone"
    (tmp_path / "short").unlink()
    assert names(entries) == ["No such file or directory"]
    with pytest.raises(FeedError, match="No such file"):
        list(FolderReader(tmp_path / "nowhere").read(Cursor()))


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_a_file_that_is_gone_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    reader = open_reader(path)
    path.unlink()
    with pytest.raises(FeedError, match="No such file"):
        list(reader.read(Cursor()))


def test_the_name_says_the_format(tmp_path: Path) -> None:
    assert format_of(tmp_path) == "folder"
    with pytest.raises(FeedError, match="no such file or folder"):
        format_of(tmp_path / "nothing.csv")
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(FeedError, match=r"expected a folder or a file named \.csv") as caught:
        open_reader(tmp_path / "a.xlsx")
    assert "--format" in caught.value.hint
    with pytest.raises(FeedError, match="no format 'excel'"):
        open_reader(tmp_path / "a.xlsx", "excel")


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6)


def csv_text(rows: list[list[str]]) -> str:
    return "".join(",".join('"' + field.replace('"', '""') + '"' for field in row) + "\n" for row in rows)


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(FIELD, FIELD), max_size=8), stop=st.integers(0, 8))
def test_reading_may_stop_anywhere_and_go_on_with_the_same_ids(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], stop: int
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    table = folder / "a.csv"
    table.write_text("x,y\n" + csv_text([list(row) for row in rows]), newline="")
    lines = folder / "a.ndjson"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = tree(folder / "files", *(f"{index // 3}/{index}" for index in range(len(rows) + 1)))
    for path in (table, lines, files):
        check_resumes(open_reader(path), stop)


def check_resumes(reader: Reader, stop: int) -> None:
    whole = [item.id("feed") for item in reader.read(Cursor()) if isinstance(item, Item)]
    first = list(islice(reader.read(Cursor()), stop))
    rest = reader.read(first[-1].after if first else Cursor())
    resumed = [item.id("feed") for item in [*first, *rest] if isinstance(item, Item)]
    assert resumed == whole
    assert len(set(whole)) == len(whole)


def test_the_fingerprint_lasts_while_the_file_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"1\n2\n")
    reader = open_reader(path)
    assert reader.total == 4
    before = reader.fingerprint(Cursor(4))
    path.write_bytes(b"1\n2\n3")
    assert reader.fingerprint(Cursor(4)) == before
    unfinished = reader.fingerprint(Cursor(5))
    path.write_bytes(b"1\n2\n31\n")
    assert reader.fingerprint(Cursor(5)) != unfinished
    path.write_bytes(b"1\n9\n3")
    assert reader.fingerprint(Cursor(4)) != before
    path.write_bytes(b"1\n")
    assert reader.fingerprint(Cursor(4)) != before


def test_the_fingerprint_of_parquet_is_the_whole_files(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"n": [1, 2]}, 2)
    reader = open_reader(path)
    before = reader.fingerprint(Cursor(1))
    parquet(path, {"n": [1, 3]}, 2)
    assert reader.fingerprint(Cursor(1)) != before


def test_memory_stays_flat_however_long_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'"' + b"x" * 998 + b'"\n' + (b'"' + b"x" * 98 + b'"\n') * 40_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_reader(path).read(Cursor())) == 40_001
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
