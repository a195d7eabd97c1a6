"""Peers that come from npm, installed into a scratch folder where npm is at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class Absent(Exception):
    """A peer that cannot run here; the text says why."""


def install(folder: Path, *packages: str) -> Path:
    """node_modules with the packages and nothing of their install scripts run. Raises Absent."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Absent("npm is not installed")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", *packages]
    (folder / "package.json").write_text('{"private": true}')
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Absent(f"npm could not install {' '.join(packages)}: {said[0][:200] if said else done.returncode}")
    return folder / "node_modules"


def environment(**more: str) -> dict[str, str]:
    """Ours, with nothing that looks for updates or reports its use."""
    quiet = {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "NO_UPDATE_NOTIFIER": "1", "CI": "1"}
    return {**os.environ, **quiet, **more}
