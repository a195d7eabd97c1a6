"""An object of S3 as it is stored: its bytes in our bucket, its note beside them, and the place that a call names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from millrace.aws.endpoint.call import Call
from millrace.store import ObjectInfo


class Note(msgspec.Struct, frozen=True):
    """What is kept beside an object's bytes; `at` (Unix seconds) is after they were written.

    `etag` is S3's, `tag` our bucket's, by which the bytes are known again.
    """

    id: str  # bucket/key
    size: int
    etag: str
    tag: str = ""
    at: float = 0.0
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    storage: str = "STANDARD"


class ObjectWrite(msgspec.Struct, frozen=True):
    """What one call did to one object: its bytes and note, or None where it is gone."""

    bucket: str
    key: str
    body: bytes | None = None
    note: Note | None = None


class Changed(Exception):
    """An object was changed or removed beside moto while it was asked for."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"object {key!r} of bucket {bucket!r} changed")
        self.bucket = bucket
        self.key = key


class StoredBody:
    """Stands where moto keeps an object's bytes in a file of its own, and reads them from the bucket."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._at = 0

    def seek(self, place: int) -> None:
        """Where the next read begins."""
        self._at = place

    def read(self, size: int = -1) -> bytes:
        """The rest of the bytes, or `size` of them. Raises Changed."""
        body = self._read()[self._at :] if size < 0 else self._read()[self._at : self._at + size]
        self._at += len(body)
        return body

    def close(self) -> None:
        """Nothing is held."""


def is_of(note: Note, info: ObjectInfo) -> bool:
    """Whether the note was written with these bytes; a copy of the folder keeps times and sizes, not tags."""
    return info.etag == note.tag or (info.size == note.size and info.modified_at <= note.at)


def place_of(call: Call, buckets: Mapping[str, Any]) -> tuple[str, str]:
    """The bucket and key that a call names, in its host or its path; ("", "") for a bucket that is not ours."""
    path = unquote(call.path).lstrip("/")
    host = call.headers.get("host", "").partition(":")[0]
    # The host first, as moto has it; of `lake` and `lake.eu` the longer name is meant.
    if named := max((name for name in buckets if host.startswith(f"{name}.")), key=len, default=""):
        return named, path
    bucket, _, key = path.partition("/")
    return (bucket, key) if bucket in buckets else ("", "")
