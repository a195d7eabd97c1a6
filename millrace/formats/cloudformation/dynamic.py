"""Dynamic references in texts, `{{resolve:ssm:/shop/host}}`: filled in where what they mean is known here.

Source: AWS CloudFormation User Guide, "Get values stored in other services using dynamic references".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from millrace.config.faults import Fault
from millrace.config.tree import Node
from millrace.formats.cloudformation.parameters import HIDDEN

_REFERENCE = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^{}]+)\}\}")
_VERSION = re.compile(r":\d+$")
_LONGEST = 60


def has_references(found: Node) -> bool:
    """Whether a value is a text with a dynamic reference in it."""
    return isinstance(found.value, str) and "{{resolve:" in found.value


def filled(found: Node, look_up: Callable[[str], str | None], tell: Callable[[Fault], None]) -> Node:
    """A text with its references filled in; `look_up` knows `ssm:/shop/host` and the like, a stand-in is told of.

    What comes from a secret, or stands beside one, is never shown.
    """
    secret = found.written is not None

    def fill(match: re.Match[str]) -> str:
        nonlocal secret
        service, key = match[1], match[2].strip()
        name = f"{service}:{key if service == 'secretsmanager' else _VERSION.sub('', key)}"
        if (value := look_up(name)) is not None:
            secret = secret or service != "ssm"
            return value
        stand_in = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:_LONGEST].rstrip("-")
        what = f"only AWS knows {match[0]}: {stand_in!r} stands in"
        tell(Fault(found.place, what, f"--parameter '{name}=VALUE'", severity="warning"))
        return stand_in

    text = _REFERENCE.sub(fill, found.value)
    return Node(text, found.place, found.key_place, HIDDEN if secret else None)
