"""Texts as PostgreSQL can keep them: it has no NUL, and its indexes take no more than 2,700 bytes."""

from __future__ import annotations

from hashlib import blake2b

_ESCAPE = "\N{SYMBOL FOR NULL}"
_MOST_INDEXED = 500  # characters: at most 2,000 bytes


def stored(text: str) -> str:
    """A text without NUL; two different texts stay different."""
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, _ESCAPE * 2).replace("\0", _ESCAPE + "0")


def restored(text: str) -> str:
    """The text that was stored."""
    if _ESCAPE not in text:
        return text
    return _ESCAPE.join(part.replace(_ESCAPE + "0", "\0") for part in text.split(_ESCAPE * 2))


def indexed(id: str) -> str:
    """An id as it is looked up: a longer one as its beginning and its hash."""
    if len(id) <= _MOST_INDEXED:
        return stored(id)
    digest = blake2b(id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{stored(id[: _MOST_INDEXED // 2])}#{digest}"
