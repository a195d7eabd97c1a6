"""What a replica's environment has of ours."""

from __future__ import annotations

import os

TOKEN_VARIABLE = "MILLRACE_TOKEN"  # noqa: S105 - its name, not its value
_SECRETS = frozenset(
    {TOKEN_VARIABLE, "MILLRACE_BROKER", "MILLRACE_BROKER_USER", "MILLRACE_BROKER_PASSWORD", "MILLRACE_DATABASE"}
)
# A batch's arrays are as large as the last one's. At glibc's defaults they are given back to the kernel and faulted in
# again for each batch, which cost 2 ms of every 32 ms predict; so freed memory is kept. Other allocators ignore these.
_ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": str(256 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


def inherited() -> dict[str, str]:
    """Our own variables without millrace's secrets, and the settings of the allocator unless ours say otherwise."""
    return _ALLOCATOR | {key: value for key, value in os.environ.items() if key not in _SECRETS}
