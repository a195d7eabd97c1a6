"""Says what an image shows, with any ONNX classifier. Plain Python: nothing here knows of millrace."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).resolve().parent


def read_image(data: bytes, height: int, width: int) -> np.ndarray:
    """An image file as the model wants it: (3, height, width), 0 to 1. Raises UnidentifiedImageError if it is none."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB").resize((width, height)), dtype=np.float32) / 255
    return pixels.transpose(2, 0, 1)


class ImageClassifier:
    """Image files in, labels with confidences out."""

    def load(self) -> None:
        """Once per replica. Without a model of your own, the sample model is trained first: a few seconds, once."""
        path = HERE / os.environ.get("MODEL", "shapes.onnx")
        if path.name == "shapes.onnx" and not path.exists():
            import train

            train.main()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # replicas are what fills the cores
        self.session = onnxruntime.InferenceSession(path, options)
        self.labels = (HERE / os.environ.get("LABELS", "labels.txt")).read_text().split("\n")
        (self.input,) = self.session.get_inputs()
        self.height, self.width = self.input.shape[2:]

    def preprocess(self, message: Any) -> np.ndarray:
        """One posted file; runs in threads, ahead of predict."""
        return read_image(message.body, self.height, self.width)

    def predict(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """A whole batch at once: scores (N, labels)."""
        (scores,) = self.session.run(None, {self.input.name: np.stack(inputs)})
        return list(scores)

    def postprocess(self, scores: np.ndarray) -> dict[str, Any]:
        """What the client gets, and what becomes a row of `predictions`."""
        likely = np.exp(scores - scores.max())
        likely /= likely.sum()
        best = int(likely.argmax())
        return {"label": self.labels[best], "confidence": round(float(likely[best]), 4)}
