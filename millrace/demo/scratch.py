"""A copy of the digits project in a folder of its own: trained, with scans to post and a bug put in on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import sys
from pathlib import Path

import msgspec

from millrace.errors import MillraceError

_NEEDED = {"numpy": "numpy", "onnxruntime": "onnxruntime", "PIL": "pillow", "sklearn": "scikit-learn"}
_NEEDED["skl2onnx"] = "skl2onnx"
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".millrace", "held-out", "*.onnx", ".gitignore")

FUSE = b"Comment\0exit"
EXIT_CODE = 86
FRAGILE_MODEL = "fragile.FragileReader"
_FRAGILE = f'''"""Only in the demo: DigitReader with a bug as native code has them: one image ends the process."""

import os

from app import DigitReader


class FragileReader(DigitReader):
    def preprocess(self, message):
        if {FUSE!r} in message.body:
            os._exit({EXIT_CODE})
        return super().preprocess(message)
'''


class Scan(msgspec.Struct, frozen=True):
    """A held-out scan: its file's name, the digit that it shows, its bytes."""

    name: str
    digit: int
    body: bytes


def require_extra() -> None:
    """Raise MillraceError, naming the extra, unless everything that the digits project imports is installed."""
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MillraceError(f"the demo needs {', '.join(missing)}", "pip install 'millrace[demo]'")


def find_example() -> Path:
    """The digits project: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples" / "digits", package.parent / "examples" / "digits"):
        if (folder / "millrace.yml").is_file():
            return folder
    raise MillraceError(f"no examples/digits in {package} or beside it", "install millrace again")


def copy_project(folder: Path) -> None:
    """Copy the project into `folder` and add the fragile model to it; the example itself stays as it is."""
    shutil.copytree(find_example(), folder, ignore=_NOT_COPIED, dirs_exist_ok=True)
    (folder / "fragile.py").write_text(_FRAGILE)


async def train(folder: Path) -> str:
    """Run the project's train.py as its user would; return what it printed. Raises MillraceError when it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "train.py", cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    printed = output.decode(errors="replace").strip()
    if process.returncode:
        raise MillraceError(f"train.py exited with {process.returncode}", printed[-2000:])
    return printed


def read_scans(folder: Path) -> list[Scan]:
    """What train.py put aside as `held-out/<number>-<digit>.png`, in order."""
    paths = sorted((folder / "held-out").glob("*.png"))
    return [Scan(path.name, int(path.stem.partition("-")[2]), path.read_bytes()) for path in paths]
