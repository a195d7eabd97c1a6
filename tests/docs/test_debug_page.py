"""docs/how-to/debug.md: the session that it shows is held, and what it gives to editors is what they read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

from terminal import steps

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "debug.md"
FILES = {name: "".join(lines) for kind, name, lines in steps(PAGE) if kind == "file"}


def test_the_session_is_held(tmp_path: Path) -> None:
    for name in ("millrace.yml", "app.py"):
        (tmp_path / name).write_text(FILES[name])
    (transcript,) = re.findall(r"^```text\n\$ millrace (.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    command, *shown = transcript.splitlines()
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace", *command.split(), "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with ThreadPoolExecutor() as threads:
            said, address = "", None
            while address is None or "is ready" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
                address = re.search(r"listening on (\S+)", said)
            answer = threads.submit(_ask, f"{address[1]}/greet")
            typed = [line.removeprefix("(Pdb) ") for line in shown if line.startswith("(Pdb) ")]
            process.stdin.write("".join(f"{line}\n" for line in typed))
            process.stdin.flush()
            assert answer.result(60) == "Hello Rex\n"
    finally:
        process.terminate()
        rest = process.communicate(timeout=60)[0]
    printed = (said + rest).replace(f"{tmp_path}{os.sep}", "")
    assert [line for line in shown if not line.startswith("(Pdb)") and line not in printed] == []


def _ask(url: str) -> str:
    request = Request(url, b'{"name": "rex"}', {"content-type": "application/json"})
    with urlopen(request) as answer:
        return str(answer.read().decode())


def test_the_editor_starts_what_the_page_starts(tmp_path: Path) -> None:
    (launch,) = json.loads(FILES[".vscode/launch.json"])["configurations"]
    command = [sys.executable, "-m", launch["module"], *launch["args"], "--help"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).returncode == 0
    assert launch["args"] == ["up", "--debug", "greet"]
