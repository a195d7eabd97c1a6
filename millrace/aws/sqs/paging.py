"""Lists in pages: the token is the name behind which the next page begins."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from millrace.aws.sqs.errors import invalid_value
from millrace.aws.sqs.limits import check_range

_MOST = 1000


def page(names: Sequence[str], token: str | None, most: int | None) -> tuple[list[str], str | None]:
    """One page of sorted names and the next page's token, which only a list that was asked for in pages has."""
    check_range(most, "MaxResults", 1, _MOST)
    rest = [name for name in names if name > _after(token)] if token else list(names)
    shown = rest[: most or _MOST]
    further = most is not None and len(rest) > len(shown)
    return shown, urlsafe_b64encode(shown[-1].encode()).decode() if further else None


def _after(token: str) -> str:
    try:
        return urlsafe_b64decode(token.encode("ascii")).decode()
    except ValueError:
        raise invalid_value(token, "NextToken", "It is none that a list of ours has given.") from None
