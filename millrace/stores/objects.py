"""Buckets through obstore: a folder, memory, or an object store (s3://, gs://, az://).

Opening contacts nobody: credentials are looked for at the first use. A local object is written beside its place,
renamed, and then flushed to the disk, since what a bucket holds must outlive the message that caused it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from millrace.errors import ConfigError, StorageError, StorageFull, StorageReadOnly
from millrace.store import Bucket, ObjectInfo

if TYPE_CHECKING:
    from obstore import ObjectMeta

MAX_KEY_BYTES = 1024  # S3's own limit
_CLOUDS = ("s3", "gs", "az")
_PAGE = 1000
_CREDENTIALS = {
    "s3": "Set AWS_REGION and AWS_ACCESS_KEY_ID, or the environment's own role; write s3://bucket/prefix.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS; write gs://bucket/prefix.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and a key or token; write az://container/prefix.",
}
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EROFS, errno.EPERM)


def open_bucket(name: str, url: str, root: Path) -> Bucket:
    """The bucket at a URL: a path is relative to `root`. Raises ConfigError for a URL that is none of these."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme == "file":
        return LocalBucket(name, url, (root / (rest if colon else url)).resolve())
    if scheme == "memory":
        return ObjectBucket(name, url, from_url("memory:///"))
    if scheme not in _CLOUDS:
        raise ConfigError(
            f"bucket {name!r}: expected a folder, s3://, gs://, az:// or memory://, got {_shown(url)!r}",
            "A folder is written relative to the project file: ./lake",
        )
    try:
        return ObjectBucket(name, url, from_url(url))
    except (BaseError, ValueError) as error:
        raise ConfigError(
            f"bucket {name!r}: cannot open {_shown(url)}: {_first_line(error)}", _CREDENTIALS[scheme]
        ) from error


def check_key(key: str) -> str:
    """The key itself; raises StorageError for one that could leave the bucket or that not every store can hold."""
    wrong = _fault(key)
    if wrong:
        raise StorageError(
            f"object key {key[:80]!r}: {wrong}",
            f"A key is a relative path of 1-{MAX_KEY_BYTES} bytes such as 2026/cat.json.",
        )
    return key


def _fault(key: str) -> str:
    if not 0 < len(key.encode(errors="replace")) <= MAX_KEY_BYTES:
        return f"expected 1-{MAX_KEY_BYTES} bytes, got {len(key.encode(errors='replace'))}"
    if any(ord(character) < 32 or ord(character) == 127 or 0xD800 <= ord(character) < 0xE000 for character in key):
        return "expected no control characters"
    if "\\" in key:
        return "expected / between its parts, got a backslash"
    if any(part in {"", ".", ".."} for part in key.split("/")):
        return "expected parts that are neither empty, '.' nor '..'"
    return ""


class ObjectBucket(Bucket):
    """Objects behind one obstore store."""

    def __init__(self, name: str, url: str, store: ObjectStore) -> None:
        self.name = name
        self.url = _shown(url)
        self._store = store

    async def put(self, key: str, body: bytes) -> None:
        check_key(key)
        try:
            await obstore.put_async(self._store, key, body)
        except (BaseError, OSError) as error:
            raise self._translated(error, "write", key) from error

    async def get(self, key: str) -> bytes | None:
        check_key(key)
        try:
            answer = await obstore.get_async(self._store, key)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._translated(error, "read", key) from error

    async def head(self, key: str) -> ObjectInfo | None:
        check_key(key)
        try:
            return _info(await obstore.head_async(self._store, key))
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._translated(error, "look at", key) from error

    async def delete(self, key: str) -> None:
        check_key(key)
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise self._translated(error, "delete", key) from error

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        # obstore's prefix is a folder; the rest of ours is compared here.
        folder = prefix.rpartition("/")[0]
        if folder:
            check_key(folder)
        try:
            async for page in obstore.list(self._store, folder or None, chunk_size=_PAGE):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield _info(meta)
        except (BaseError, OSError) as error:
            raise self._translated(error, "list", prefix) from error

    def _translated(self, error: Exception, verb: str, key: str) -> StorageError:
        where = f"bucket {self.name!r} ({self.url}): cannot {verb} {key[:80]!r}: {_first_line(error)}"
        number = _errno(error)
        if number in _NO_SPACE:
            return StorageFull(where, "Free some space; nothing that was accepted is lost.")
        if number in _READ_ONLY:
            return StorageReadOnly(where, "Give this user the right to write there.")
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            return StorageError(where, "Check the credentials and the bucket's policy.")
        return StorageError(where, "Check that the bucket exists and can be reached; it is tried again.")


class LocalBucket(ObjectBucket):
    """A folder of files, made when it is missing; symbolic links that its owner put there are followed."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageReadOnly(
                f"bucket {name!r}: cannot make folder {folder}: {error.strerror}", "Make it, or name another folder."
            ) from error
        self._folder = folder
        self._flushed: set[Path] = set()
        super().__init__(name, url, LocalStore(folder))

    async def put(self, key: str, body: bytes) -> None:
        await super().put(key, body)
        try:
            await asyncio.to_thread(self._flush, self._folder / key)
        except OSError as error:
            raise self._translated(error, "flush", key) from error

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        if not self._folder.is_dir():  # not the same as empty: a watch would take every object for removed
            raise StorageError(
                f"bucket {self.name!r}: folder {self._folder} is gone", "Mount it again, or make it anew."
            )
        async for info in super().list(prefix):
            yield info

    def _flush(self, path: Path) -> None:
        """Bring file, name and, the first time, the names of its folders to the disk."""
        _fsync(path)
        _fsync(path.parent)
        if path.parent not in self._flushed:
            for folder in path.parent.relative_to(self._folder).parents:
                _fsync(self._folder / folder)
            self._flushed.add(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _errno(error: Exception) -> int | None:
    """The system's error number, which obstore tells only in its text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _shown(url: str) -> str:
    """The URL without what may be secret: user, password and query."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


def _first_line(error: Exception) -> str:
    return re.sub(r"//[^/\s]*@", "//", str(error).partition("\n")[0])


def _info(meta: ObjectMeta) -> ObjectInfo:
    modified_at = meta["last_modified"].timestamp()
    # A store without entity tags: time and size stand in for one.
    etag = (meta["e_tag"] or f"{modified_at}-{meta['size']}").strip('"')
    return ObjectInfo(meta["path"], meta["size"], etag, modified_at)
