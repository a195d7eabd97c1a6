"""Runs a project and SIGKILLs itself, or its replicas, when the flow reaches a step: `victim.py FOLDER WHO STEP NTH`.

WHO is parent, replica or nobody. Without a crash it runs until SIGTERM.
"""

import asyncio
import os
import signal
import sys
from itertools import count
from pathlib import Path

import psutil

from millrace.app import up
from millrace.config.load import load
from millrace.telemetry import Step


def crasher(who: str, step: str, nth: int):
    seen = count(1)

    def observe(reached: Step) -> None:
        if reached != step or next(seen) != nth:
            return
        print(f"killing {who} {step}", flush=True)
        if who == "parent":
            os.kill(os.getpid(), signal.SIGKILL)
        for child in psutil.Process().children():
            child.kill()

    return observe


async def main(folder: str, who: str, step: str, nth: int) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    project = load(Path(folder))
    observer = None if who == "nobody" else crasher(who, step, nth)
    return await up(project, gateway=False, announce=lambda text: print(text, flush=True), stop=stop, observer=observer)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
