"""python -m pytest"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from app import ImageClassifier


def test_samples_are_recognised() -> None:
    model = ImageClassifier()
    model.load()
    files = sorted(Path("samples").glob("*.png"))
    inputs = [model.preprocess(SimpleNamespace(body=file.read_bytes())) for file in files]
    labels = [model.postprocess(scores)["label"] for scores in model.predict(inputs)]
    assert labels == [file.stem for file in files] == ["circle", "square", "triangle"]
