"""The files that `${file(...)}` names: YAML, JSON and text below the project's folder, nothing else, each read once."""

from __future__ import annotations

from pathlib import Path

from millrace.config.faults import Fault, Place, shown
from millrace.config.reading import MAX_BYTES
from millrace.config.tree import Node
from millrace.formats.documents import read_document
from millrace.formats.serverless.variables.answers import Ask, Missing, safe, stand_in

DOCUMENTS = (".yml", ".yaml", ".json", ".tfstate")
CODE = (".js", ".cjs", ".mjs", ".ts", ".mts", ".cts", ".py", ".sh")
MAX_FILES = 200


class Files:
    """Reads files below a folder; what is wrong inside of them goes into `faults`."""

    def __init__(self, folder: Path, faults: list[Fault]) -> None:
        self._folder = folder.resolve()
        self._faults = faults
        self._read: dict[Path, Node | Missing] = {}

    def get(self, ask: Ask) -> Node | Missing:
        """The document or the text of the file that the argument of ${file(...)} names."""
        written = "" if ask.argument is None else safe(ask.argument)
        named = "" if ask.argument is None else str(ask.argument.value)
        below = f"a file below the project's folder, such as {ask.kind}(./config.yml)"
        if not named or "\0" in named or named.startswith("~") or Path(named).is_absolute():
            return Missing(f"{ask.kind}({written}) names a file elsewhere", below)
        try:
            path = (self._folder / named).resolve()
            if not path.is_relative_to(self._folder):
                return Missing(f"{ask.kind}({written}) leads out of the project's folder", below)
            if path.suffix.lower() in CODE:
                what = f"{ask.kind}({written}) would run code, which millrace does not do to read a project"
                return Missing(what, "a .yml or .json file, or a fallback", instead=stand_in(ask))
            if not path.is_file():
                return Missing(f"there is no file {shown(written)}", below)
        except (OSError, RuntimeError, ValueError):  # a name too long, links that turn in circles
            return Missing(f"{shown(written)} cannot be a file's name", below)
        if path not in self._read:
            self._read[path] = self._load(path)
        return self._read[path]

    def _load(self, path: Path) -> Node | Missing:
        if len(self._read) == MAX_FILES:
            return Missing("too many files", f"at most {MAX_FILES}")
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            return Missing(f"the file {path.name} cannot be read: {error.strerror}")
        source = path.relative_to(self._folder).as_posix()
        if path.suffix.lower() in DOCUMENTS:
            before = len(self._faults)
            found = read_document(data, source, self._faults)
            told = "" if len(self._faults) > before else f"the file {source} is empty"
            return Missing(told) if found is None else found
        if len(data) > MAX_BYTES:
            return Missing(f"the file {source} is too large", f"at most {MAX_BYTES:,} bytes")
        place = Place(source, 1, 1)
        return Node(data.decode("utf-8", "replace"), place, place)
