"""Buckets: which URLs open, what stays inside, and what a fault says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from millrace.errors import ConfigError, StorageError, StorageFull, StorageReadOnly
from millrace.stores import objects
from millrace.stores.objects import LocalBucket, ObjectBucket, check_key, open_bucket


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "gs://bucket", "memory://"])
def test_opening_contacts_nobody(url: str, tmp_path: Path) -> None:
    """An audit hook sees every socket that is opened, in a process of its own since hooks cannot be taken back."""
    script = (
        "import sys; from pathlib import Path; from millrace.stores.objects import open_bucket\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and sys.exit(event))\n"
        f"open_bucket('lake', {url!r}, Path('.'))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, timeout=60)


@pytest.mark.parametrize("url", ["lake", "./lake", "file://lake", "in/deep/lake"])
async def test_a_folder_is_relative_to_the_project_and_made(url: str, tmp_path: Path) -> None:
    bucket = open_bucket("lake", url, tmp_path)
    await bucket.put("a/b.txt", b"1")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b.txt"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x/y", "expected a folder, s3://, gs://, az:// or memory://, got 'ftp://x/y'"),
        ("s3://", "cannot open s3://"),
        ("https://user:secret@example.com/x", "expected a folder"),
    ],
)
def test_other_urls_are_refused(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_bucket("lake", url, tmp_path)
    assert says in caught.value.problem
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["a", "a/b.txt", "...", "a..b", "x" * 1024, "🐈/%2e%2e/a"])
def test_decent_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("é" * 513, "expected 1-1024 bytes, got 1026"),
        ("a\x7f", "no control characters"),
        ("\ud800", "no control characters"),
        ("a\\b", "got a backslash"),
        ("a/../b", "neither empty, '.' nor '..'"),
    ],
)
def test_keys_that_are_refused_say_why(key: str, says: str) -> None:
    with pytest.raises(StorageError, match="object key") as caught:
        check_key(key)
    assert says in caught.value.problem


async def test_a_prefix_cannot_leave_the_bucket(tmp_path: Path) -> None:
    bucket = open_bucket("lake", "lake", tmp_path)
    with pytest.raises(StorageError):
        [info async for info in bucket.list("../")]


async def test_a_folder_in_the_place_of_an_object(tmp_path: Path) -> None:
    bucket = open_bucket("lake", "lake", tmp_path)
    await bucket.put("a/b", b"1")
    for verb in (bucket.put("a", b"1"), bucket.delete("a")):
        with pytest.raises(StorageError, match="bucket 'lake'"):
            await verb
    assert await bucket.get("a/b") == b"1"


async def test_a_folder_that_is_gone_is_not_an_empty_one(tmp_path: Path) -> None:
    bucket = open_bucket("lake", "lake", tmp_path)
    (tmp_path / "lake").rmdir()
    with pytest.raises(StorageError, match="is gone"):
        [info async for info in bucket.list()]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageReadOnly, match="cannot make folder"):
        open_bucket("lake", "file/lake", tmp_path)


async def test_a_put_is_flushed_with_the_names_that_lead_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(objects.os, "fsync", spy)
    bucket = open_bucket("lake", "lake", tmp_path)
    root = str(tmp_path / "lake")
    await bucket.put("a/b/c.txt", b"1")
    assert set(flushed) == {f"{root}/a/b/c.txt", f"{root}/a/b", f"{root}/a", root}
    flushed.clear()
    await bucket.put("a/b/d.txt", b"1")
    assert flushed == [f"{root}/a/b/d.txt", f"{root}/a/b"]


async def test_an_object_that_cannot_be_flushed_was_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects.os, "fsync", full)
    with pytest.raises(StorageFull, match="cannot flush 'a'"):
        await open_bucket("lake", "lake", tmp_path).put("a", b"1")


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (
            GenericError("disk: No space left on device (os error 28)\n\nDebug source: x"),
            StorageFull,
            "Free some space",
        ),
        (GenericError("Permission denied (os error 13)"), StorageReadOnly, "right to write"),
        (PermissionDeniedError("403"), StorageError, "credentials"),
        (GenericError("connection refused"), StorageError, "can be reached"),
    ],
)
@pytest.mark.parametrize("verb", ["put", "get", "delete", "list"])
async def test_faults_of_the_store_are_told_in_our_words(
    error: Exception, kind: type[StorageError], hint: str, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **options: object) -> None:
        raise error

    def fail_at_once(*args: object, **options: object) -> None:
        raise error

    for name in ("put_async", "get_async", "delete_async"):
        monkeypatch.setattr(objects.obstore, name, fail)
    monkeypatch.setattr(objects.obstore, "list", fail_at_once)
    bucket = open_bucket("lake", "memory://", tmp_path)
    verbs = {
        "put": lambda: bucket.put("in/a", b"1"),
        "get": lambda: bucket.get("in/a"),
        "delete": lambda: bucket.delete("in/a"),
        "list": lambda: anext(bucket.list("in/a")),
    }
    with pytest.raises(StorageError) as caught:
        await verbs[verb]()
    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert "bucket 'lake' (memory://)" in caught.value.problem
    assert "in/a" in caught.value.problem
    assert "Debug" not in str(caught.value)


async def test_deleting_what_a_store_does_not_find_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(*args: object) -> None:
        raise FileNotFoundError("nope")

    monkeypatch.setattr(objects.obstore, "delete_async", missing)
    bucket = open_bucket("lake", "lake", tmp_path)
    assert isinstance(bucket, LocalBucket)
    assert isinstance(bucket, ObjectBucket)
    await bucket.delete("a")
