"""What a client says beside the body: path parameters, query parameters and form fields become attributes.

Names are taken as they are. `content-type` comes from the header alone, and names that begin with `millrace-` are
millrace's own: both are refused. The same name twice is one attribute, its values joined with a comma. A path
parameter wins over a form field, a form field over a query parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.sources.http import problems
from millrace.sources.http.settings import Settings

RESERVED_PREFIX = "millrace-"
CONTENT_TYPE = "content-type"


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Pairs as a mapping, values of a repeated name joined with a comma."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def check(attributes: Mapping[str, str], settings: Settings) -> None:
    """Raise a problem for names that clients may not set, and for more or larger attributes than a message may have."""
    if len(attributes) > settings.max_attributes:
        raise problems.attributes_too_large(
            f"The message would have {len(attributes)} attributes.", f"at most {settings.max_attributes}"
        )
    size = sum(len(name) + len(value) for name, value in attributes.items())
    if size > settings.max_attribute_bytes:
        raise problems.attributes_too_large(
            f"The attributes together have {size} characters.", f"at most {settings.max_attribute_bytes}"
        )
    for name in attributes:
        if not name or name.lower() == CONTENT_TYPE or name.lower().startswith(RESERVED_PREFIX):
            raise problems.bad_request(
                f"A client cannot set the attribute {name[:100]!r}.",
                expected=f"a name other than {CONTENT_TYPE!r} that does not begin with {RESERVED_PREFIX!r}",
                got=name[:100],
            )
