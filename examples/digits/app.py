"""Reads a handwritten digit from an image. Plain Python: nothing here knows of millrace."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

SIDE = 8  # the model reads 8x8 pixels


def read_png(data: bytes) -> np.ndarray:
    """An image file as the model wants it: 64 floats, 0 is blank and 1 is ink. Raises OSError when it is no image."""
    with Image.open(io.BytesIO(data)) as image:
        grey = image.convert("L")
    if grey.size != (SIDE, SIDE):
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32).reshape(SIDE * SIDE) / 255


class DigitReader:
    """Files in, digits out."""

    def load(self) -> None:
        """Once per replica. One thread each: the replicas are what fills the cores."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(Path(__file__).with_name("digits.onnx"), options)

    def preprocess(self, message: Any) -> np.ndarray:
        """One posted file; `message.body` has its bytes."""
        return read_png(message.body)

    def predict(self, inputs: list[np.ndarray]) -> list[tuple[int, float]]:
        """A whole batch at once."""
        digits, probabilities = self.session.run(None, {"pixels": np.stack(inputs)})
        return list(zip(digits.tolist(), probabilities.max(axis=1).tolist(), strict=True))

    def postprocess(self, output: tuple[int, float]) -> dict[str, Any]:
        """What the client gets, and what becomes a row of `predictions`."""
        digit, confidence = output
        return {"digit": digit, "confidence": round(confidence, 4)}
