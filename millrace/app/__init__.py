"""The composition root: the only room that knows which class stands behind which port.

`open_backend` opens what a project keeps (for commands and clients); `up` runs it.
"""

from __future__ import annotations

from millrace.app.backend import Backend, open_backend
from millrace.app.up import up

__all__ = ["Backend", "open_backend", "up"]
