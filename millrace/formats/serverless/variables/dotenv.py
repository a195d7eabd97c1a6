"""The .env files of `useDotenv: true`: NAME=value lines; what the environment has already stays."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from millrace.config.reading import MAX_BYTES

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")


def read_dotenv(folder: Path, stage: str) -> dict[str, str]:
    """The variables of .env and, over them, of .env.STAGE; empty where there are none or they are no text."""
    found: dict[str, str] = {}
    for name in (".env", f".env.{stage}"):
        if os.path.basename(name) == name and (folder / name).is_file():
            with suppress(OSError), (folder / name).open("rb") as file:  # what it would have set is told as not set
                found |= _variables(file.read(MAX_BYTES).decode("utf-8", "replace"))
    return found


def with_dotenv(environment: Mapping[str, str], folder: Path, stage: str) -> dict[str, str]:
    """An environment and what the .env files add to it."""
    return {**read_dotenv(folder, stage), **environment}


def _variables(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            value = match[2]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
                value = value[1:-1]
            else:
                value = re.split(r"\s+#", value)[0]
            found[match[1]] = value
    return found
