"""Names that Kubernetes and systemd accept, made from those of a project."""

from __future__ import annotations

import hashlib
import re

_ODD = re.compile(r"[^a-z0-9]+")
_MARK = 6  # characters of a hash that tells two names apart which look alike in small letters


def label(*words: str, longest: int = 63) -> str:
    """A DNS label (RFC 1123): small letters, digits and hyphens. What had to be changed gets a hash of the original."""
    plain = "-".join(words)
    found = _ODD.sub("-", plain.lower()).strip("-")
    if found == plain and len(found) <= longest:
        return found
    mark = hashlib.sha256(plain.encode()).hexdigest()[:_MARK]
    return f"{found[: longest - _MARK - 1].rstrip('-')}-{mark}".lstrip("-")
