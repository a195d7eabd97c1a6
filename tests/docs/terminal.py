"""A page is walked through as a reader would: files are written, commands typed, and what they print is compared.

The blocks of a page are one session in a new folder. A block with a title is a file; a console block has commands
behind `$ ` and below each what it prints, `...` for what is different each time. `millrace up` goes on in the
background on free ports, and what would change the machine (pip, sudo, ...) is left out. A command that is to fail
says so: `# exit code 2`, or `# 422` for curl.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from needs import needs_command, tool

from millrace.errors import ConfigError
from millrace.formats.load import load

LEFT_OUT = {"chmod", "pip", "sudo", "journalctl", "sqlite3"}
PROGRAMS = {"millrace", "aws", "pytest", "python", "cat", "mv"}
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
_PATIENCE_S = 240.0  # training a model on a busy machine included
_NEW_EACH_TIME = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:0"),
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\b\d{10}\.\d+\b", "MOMENT"),
)


def steps(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(`file`, its name, its lines) and (`command`, what is typed, what it prints), in the order of the page."""
    for language, title, text in _FENCE.findall(page.read_text()):
        if title:
            yield "file", title, text.splitlines(keepends=True)
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                typed, *printed = re.sub(r"\\\n\s*", "", part).splitlines()
                yield "command", typed, [line for line in printed if line.strip()]


class Session:
    """A terminal in a folder, and another one in which `millrace up` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        self.said = ""
        self.places: dict[str, str] = {}  # the addresses that pages name, and where they are in this run
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
        for name in [name for name in self.environment if name.startswith(("MILLRACE_", "AWS_", "PYTEST_", "COV_"))]:
            del self.environment[name]

    def write(self, name: str, text: str) -> None:
        """A file of the page."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, command: str, printed: list[str]) -> None:
        """Type a command and see that it does and prints what the page says."""
        code = int(found[1]) if (found := re.search(r"# exit code (\d+)$", command)) else 0
        words = [self._here(word) for word in shlex.split(command, comments=True)]
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
        elif words[:2] == ["millrace", "up"]:
            self.up(words)
            self._prints(command, printed)
        elif words[0] == "curl":
            self.curl(command, words[1:], printed)
        elif words[0] in PROGRAMS:
            done = self.call(words)
            assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
            said = done.stdout + done.stderr
            assert shown(printed, said), f"{command}\nshown:\n{printed}\nprinted:\n{said}"
        else:
            assert words[0] in LEFT_OUT, f"neither run nor known: {command}"

    def curl(self, command: str, words: list[str], printed: list[str]) -> None:
        needs_command("curl")
        done = self.call(["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *words])
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        body, _, status = done.stdout.rpartition("\n")
        expected = re.search(r"# (\d{3})$", command)
        assert int(status) == int(expected[1]) if expected else int(status) < 400, f"{command}\n{done.stdout}"
        assert shown(printed, body), f"{command}\nshown:\n{printed}\nprinted:\n{body}"

    def call(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        if words[0] == "aws":
            words = [tool("aws"), *words[1:]]
        return subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=_PATIENCE_S
        )

    def up(self, words: list[str]) -> None:
        """Start the server, and read what it says until its functions are ready and ever after."""
        self.close()
        ports = ["--port", "0", *(["--set", "aws.port=0"] if self._is_on_aws() else [])]
        self.server = subprocess.Popen(
            [*words, *ports],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        threading.Thread(target=self._listen, args=[self.server], daemon=True).start()
        self._until(r"is ready")
        for named, pattern in (
            ("localhost:8400", r"listening on http://(\S+)"),
            ("127.0.0.1:8401", r"on http://(\S+)"),
        ):
            if found := re.search(pattern, self.said):
                self.places[named] = found[1]

    def _listen(self, server: subprocess.Popen[str]) -> None:
        assert server.stdout is not None
        for line in server.stdout:
            self.said += line

    def _until(self, pattern: str) -> None:
        assert self.server is not None
        end = time.monotonic() + _PATIENCE_S
        while not re.search(pattern, self.said):
            assert time.monotonic() < end, f"millrace up does not say {pattern}: {self.said}"
            assert self.server.poll() is None, f"millrace up ended: {self.said}"
            time.sleep(0.05)

    def _prints(self, command: str, printed: list[str]) -> None:
        """What the server is to say comes when it comes."""
        end = time.monotonic() + _PATIENCE_S
        while not shown(printed, self.said):
            assert time.monotonic() < end, f"{command}\nshown:\n{printed}\nprinted:\n{self.said}"
            time.sleep(0.05)

    def _is_on_aws(self) -> bool:
        try:
            return load(self.folder).aws is not None
        except ConfigError:
            return False

    def _here(self, word: str) -> str:
        for named, place in self.places.items():
            word = word.replace(named, place)
        return word

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait(timeout=_PATIENCE_S)


def shown(printed: list[str], said: str) -> bool:
    """Whether each line that a page shows was printed; spaces count as one, what is new each time is not compared."""
    lines = [plain(line) for line in said.splitlines()]
    return all(any(re.fullmatch(_pattern(each), line) for line in lines) for each in printed)


def plain(line: str) -> str:
    """A line without what is different each time: ports of this machine, messages' ids, moments."""
    for pattern, instead in _NEW_EACH_TIME:
        line = re.sub(pattern, instead, line)
    return " ".join(line.split())


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in plain(line).split("..."))
