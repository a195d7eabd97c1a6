"""A page with a part that a command writes: what stands between <!-- name --> and <!-- /name -->."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def part(path: Path, name: str) -> str:
    """What stands between a page's markers, "" where they are not."""
    found = re.search(f"<!-- {name} -->(.*?)<!-- /{name} -->", path.read_text(), flags=re.DOTALL)
    return found[1] if found else ""


def fill(path: Path, name: str, text: str) -> None:
    """Replace what stands between a page's markers. Raises ValueError unless it has each of them once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    block = f"{begin}\n{text}\n{end}"
    changed, count = re.subn(f"{begin}.*?{end}", lambda _: block, path.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{path} must have {begin} and {end} once, has them {count} times")
    path.write_text(changed)
