"""What several of these files take: examples/digits with its model, and its images on loopback."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from needs import needs_module

_DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of examples/digits with digits.onnx and held-out/, as its train.py makes them."""
    needs_module("onnxruntime", "sklearn", "skl2onnx", "PIL")
    folder = shutil.copytree(_DIGITS, tmp_path_factory.mktemp("digits") / "digits")
    subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, timeout=100, check=True)
    return folder


@pytest.fixture
def images_url(digits: Path) -> Iterator[str]:
    """Where the held-out images are served, on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=digits / "held-out")) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
