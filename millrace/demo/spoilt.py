"""Three files that should end as dead letters, each for another reason."""

from __future__ import annotations

import struct
import zlib

import msgspec

from millrace.demo.scratch import EXIT_CODE, FUSE
from millrace.types import Death

TEXT = b"The minutes of Tuesday's meeting, saved under the wrong name.\n"
_IHDR_END = 8 + 25  # the signature, then the header chunk, which is always this long


class Spoilt(msgspec.Struct, frozen=True):
    """A bad file, and the death it should die: reason, the failure's type, a part of the failure's message."""

    name: str
    body: bytes
    what: str
    reason: str
    type: str
    message: str

    def explains(self, death: Death) -> bool:
        """Whether the dead letter gives this file's reason."""
        return (
            death.reason == self.reason
            and death.failure.type.rpartition(".")[2] == self.type
            and self.message in death.failure.message
        )


def spoil(png: bytes) -> list[Spoilt]:
    """The three bad files, made from a good PNG."""
    return [
        Spoilt("truncated.png", truncated(png), "a truncated PNG", "dead", "OSError", "truncated"),
        Spoilt("notes.png", TEXT, "a text file named .png", "dead", "UnidentifiedImageError", "cannot identify"),
        Spoilt("fuse.png", fused(png), "an image that ends the replica", "failed", "ReplicaDied", f"code {EXIT_CODE}"),
    ]


def truncated(png: bytes) -> bytes:
    """The file as a broken upload leaves it: cut off in the middle of the pixels."""
    start = png.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", png[start - 8 : start - 4])
    return png[: start + length // 2]


def fused(png: bytes) -> bytes:
    """The same picture with a text chunk behind its header, at which the fragile reader exits."""
    chunk = b"tEXt" + FUSE
    return (
        png[:_IHDR_END] + struct.pack(">I", len(FUSE)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[_IHDR_END:]
    )
