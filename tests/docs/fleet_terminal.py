"""A terminal in which gateways and workers go on in the background: what they say is compared with the page too.

`millrace gateway` and `millrace worker` are started as they stand; one that ends with `&` is a job, for `kill %1`.
Commands with a pipe or a loop are the shell's. Queues and tables are looked at until they show what the page shows.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

from needs import needs_command
from terminal import Session, shown

_SAID_S = 60.0
_POLL_S = 0.05


class Part:
    """A gateway or a worker; what it says is in a file."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str], log: Path) -> None:
        self._folder, self._log = folder, log
        with log.open("wb") as output:
            self.process = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)

    @property
    def said(self) -> str:
        """Its lines, as if its folder were the pages'."""
        return re.sub(rf"\S*{re.escape(self._folder.name)}$", f"/srv/{self._folder.name}", self.raw, flags=re.MULTILINE)

    @property
    def raw(self) -> str:
        return self._log.read_text(errors="replace")

    def address(self) -> str:
        """Host and port of a gateway, once it has them."""
        end = time.monotonic() + _SAID_S
        while (found := re.search(r"(?:listening on|until then) http://(\S+)", self.raw)) is None:
            assert time.monotonic() < end, self.raw
            time.sleep(_POLL_S)
        return found[1]

    def until(self, printed: list[str]) -> None:
        """Return when it has said these lines."""
        end = time.monotonic() + _SAID_S
        while not shown(printed, self.said):
            assert time.monotonic() < end, f"shown:\n{printed}\nsaid:\n{self.said}"
            assert self.process.poll() is None or shown(printed, self.said), f"it ended: {self.said}"
            time.sleep(_POLL_S)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(_SAID_S)


class FleetSession(Session):
    """A terminal, and what was started in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._logs = folder
        self._parts: list[Part] = []
        self._jobs: list[Part] = []

    def run(self, command: str, printed: list[str]) -> None:
        words = shlex.split(command, comments=True)
        if words[:2] in (["millrace", "gateway"], ["millrace", "worker"]):
            self.start(words).until(printed)
        elif words[0] == "kill":
            self._kill(words, printed)
        elif words[0] == "for" or "|" in words:
            within_s = 0.0 if "curl" in words else _SAID_S  # what is posted is posted once
            self._prints_within(within_s, ["bash", "-c", self._here(command)], printed)
        elif words[:2] in (["millrace", "queues"], ["millrace", "table"]):
            self._prints_within(_SAID_S, [self._here(word) for word in words], printed)
        elif words[0] == "sed":
            assert self.call(words).returncode == 0
        else:
            super().run(command, printed)

    def start(self, words: list[str]) -> Part:
        """A gateway or a worker; a gateway's address is known from then on."""
        super().close()  # `millrace up` of the same folder was to be tried before
        is_job = words[-1] == "&"
        port = ["--port", "0"] if words[1] == "gateway" else []
        called = [self._here(word) for word in words if word != "&"] + port
        part = Part(called, self.folder, self.environment, self._logs / f"part-{len(self._parts)}.log")
        self._parts.append(part)
        if is_job:
            self._jobs.append(part)
        if words[1] == "gateway":
            self.places["localhost:8400"] = part.address()
        return part

    def _kill(self, words: list[str], printed: list[str]) -> None:
        """`kill %2` or `kill -9 %2`: the second that was started with `&`; what it says after that is on the page."""
        number = signal.SIGKILL if "-9" in words else signal.SIGTERM
        job = self._jobs[int(words[-1].removeprefix("%")) - 1]
        code = job.stop(number)
        assert code == (-number if number == signal.SIGKILL else 0), job.said
        assert shown(printed, job.said), f"shown:\n{printed}\nsaid:\n{job.said}"

    def _prints_within(self, seconds: float, words: list[str], printed: list[str]) -> None:
        needs_command("curl")
        end = time.monotonic() + seconds
        while True:
            done = self.call(words)
            assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
            if shown(printed, done.stdout + done.stderr):
                return
            assert time.monotonic() < end, f"{words}\nshown:\n{printed}\nprinted:\n{done.stdout}{done.stderr}"
            time.sleep(_POLL_S)

    def close(self) -> None:
        super().close()
        for part in self._parts:
            if part.process.poll() is None:
                part.process.terminate()
        for part in self._parts:
            part.process.wait(_SAID_S)
