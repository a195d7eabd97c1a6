"""Names of queues in SQS: 80 letters, digits, hyphens and underscores; the name of a FIFO queue ends with `.fifo`.

A name that SQS could have is itself. Else a dot is two underscores and any other character `_x`, its code point in hex
and `_`; underscores that would be read as either are written that way too, so every name can be read back.
"""

from __future__ import annotations

import re

from millrace.errors import BrokerError

FIFO = ".fifo"
_MOST = 80
_PLAIN = re.compile(r"[A-Za-z0-9_-]")
_CODED = re.compile(r"_x([0-9A-F]{2,5}|10[0-9A-F]{4})_|__")


def sqs_name(name: str, *, fifo: bool) -> str:
    """The name that a queue of ours has in SQS. Raises BrokerError where there is none."""
    stem = name.removesuffix(FIFO)
    if stem != name and not fifo:
        raise BrokerError(
            f"queue {name}: only a FIFO queue of SQS can have a name that ends with {FIFO}",
            f"declare it with `fifo: true`, or name it {stem}",
        )
    found = _encoded(stem) + (FIFO if fifo else "")
    if not stem or len(found) > _MOST:
        raise BrokerError(
            f"queue {name}: its name in SQS, {found}, has {len(found)} characters", "at most 80 are there"
        )
    return found


def candidates(name: str) -> list[str]:
    """The names under which a queue that nobody declared here may be known."""
    if name.endswith(FIFO):
        return [sqs_name(name, fifo=True)]
    return [sqs_name(name, fifo=False), sqs_name(name, fifo=True)]


def name_of(found: str) -> str:
    """The name that we have for a queue of SQS."""
    stem = found.removesuffix(FIFO)
    return _CODED.sub(_decoded, stem) + found[len(stem) :]


def _encoded(name: str) -> str:
    plain = "".join(map(_coded, name))
    return plain if name_of(plain) == name else "".join("_x5F_" if each == "_" else _coded(each) for each in name)


def _coded(letter: str) -> str:
    if letter == ".":
        return "__"
    return letter if _PLAIN.fullmatch(letter) else f"_x{ord(letter):02X}_"


def _decoded(match: re.Match[str]) -> str:
    return "." if match[1] is None else chr(int(match[1], 16))
