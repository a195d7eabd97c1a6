"""What functions print and log, as JSON lines in `<folder>/<function>.jsonl`, rotated by size.

write → a thread that writes all that is waiting at once → `name.jsonl`, `name.jsonl.1` (older), `.2`, ... → read

Several processes may write one file: each entry goes out in one append, and the rotation is under a lock.
"""

from __future__ import annotations

from millrace.logbook.book import LogBook
from millrace.logbook.entry import Entry, Said
from millrace.logbook.files import path_of

__all__ = ["Entry", "LogBook", "Said", "path_of"]
