"""The tests that each template ships pass in a project made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from needs import needs_module

from millrace.cli.init import TEMPLATES, create


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_tests_of_each_template_pass(tmp_path: Path, template: str) -> None:
    if template == "image-classifier":
        needs_module("onnxruntime", "sklearn")
    create(template, tmp_path / "made")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(command, cwd=tmp_path / "made", capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
