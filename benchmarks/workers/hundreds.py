"""What a producer that can has on its way at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

AT_ONCE = 100


def hundreds(payloads: Iterable[str]) -> Iterator[list[str]]:
    """Lists of a hundred, the last one shorter."""
    each = iter(payloads)
    while some := list(islice(each, AT_ONCE)):
        yield some
