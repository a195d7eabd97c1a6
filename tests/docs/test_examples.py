"""The examples of the pages are run: yaml loads as a project, python compiles and runs, console commands succeed.

The console blocks of one page are one session in a new folder: `millrace up` goes on in the background on a free port,
curl and millrace are run, and what would change the machine (pip, sudo, ...) is left out. A command that is to fail
says so: `# exit code 2`, or `# 422` for curl.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import needs_command, needs_module

from millrace.config.load import load

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *[DOCS / name for name in ("index.md", "tutorial.md", "semantics.md")],
    *sorted((DOCS / "how-to").glob("*.md")),
]
LEFT_OUT = {"chmod", "pip", "sudo", "journalctl", "sqlite3"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def named(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{page.stem}-{index}")
        for page in PAGES
        for index, block in enumerate(blocks(page, language))
    ]


@pytest.mark.parametrize("block", named("yaml"))
def test_yaml_is_a_sound_project(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"\$\{env:(\w+)\}", block):
        monkeypatch.setenv(variable, "set")
    (tmp_path / "millrace.yml").write_text(block)
    project = load(tmp_path)
    for stage in project.stages:
        load(tmp_path, stage=stage)


def test_the_tutorial_shows_the_project_that_init_makes() -> None:
    made = (ROOT / "millrace" / "templates" / "image-classifier" / "millrace.yml").read_text()
    assert blocks(DOCS / "tutorial.md", "yaml")[0] == made.replace("service: my-app", "service: pets")


@pytest.mark.parametrize("block", named("python"))
def test_python_runs(block: str) -> None:
    exec(compile(block, "example", "exec"), {})


class Session:
    """A terminal in a folder, and another one in which `millrace up` runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        self.address = ""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
        self.environment.pop("MILLRACE_PROJECT", None)

    def run(self, command: str) -> None:
        code = int(found[1]) if (found := re.search(r"# exit code (\d+)$", command)) else 0
        words = shlex.split(command, comments=True)
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[:2] == ["millrace", "up"]:
            self.up()
        elif words[0] == "curl":
            self.curl(command, [word.replace("localhost:8400", self.address) for word in words[1:]])
        elif words[0] == "millrace":
            done = self.call(words)
            assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        else:
            assert words[0] in LEFT_OUT, f"neither run nor known: {command}"

    def curl(self, command: str, words: list[str]) -> None:
        done = self.call(["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *words])
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        status = int(done.stdout.splitlines()[-1])
        expected = re.search(r"# (\d{3})$", command)
        assert status == int(expected[1]) if expected else status < 400, f"{command}\n{done.stdout}"

    def call(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)

    def up(self) -> None:
        """Start the server and read what it says until its functions are ready."""
        self.server = subprocess.Popen(
            ["millrace", "up", "--port", "0"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.server.stdout is not None
        said = ""
        for line in self.server.stdout:
            said += line
            if found := re.search(r"listening on http://(\S+)", line):
                self.address = found[1]
            if "is ready" in line and self.address:
                return
        raise AssertionError(f"millrace up ended: {said}")

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.communicate(timeout=60)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(tmp_path)
    yield opened
    opened.close()


@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=lambda page: page.stem)
def test_console_commands_succeed(page: Path, session: Session) -> None:
    commands = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    assert commands
    if any("image-classifier" in command for command in commands):
        needs_module("onnxruntime", "sklearn")
    if any(command.startswith("curl") for command in commands):
        needs_command("curl")
    for command in commands:
        session.run(command)
