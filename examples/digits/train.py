"""Train the digit reader on half of scikit-learn's 1,797 scans of handwritten digits; put the other half aside as PNG.

    python train.py          → digits.onnx, held-out/0001-7.png and so on: the scan's number, then the digit it shows

Even scans train, odd ones are held out, so that everybody who runs this holds out the same ones.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from app import read_png
from PIL import Image
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.svm import SVC

HERE = Path(__file__).resolve().parent
INK_LEVELS = 16  # load_digits counts the inked pixels of a 4x4 cell: 0 to 16


def scans() -> tuple[np.ndarray, np.ndarray]:
    """All scans as 8-bit grey images, shape (1797, 8, 8), and the digits they show, shape (1797,)."""
    ink, digits = load_digits(return_X_y=True)
    return np.rint(ink * 255 / INK_LEVELS).astype(np.uint8).reshape(-1, 8, 8), digits


def put_aside(images: np.ndarray, digits: np.ndarray, folder: Path) -> list[Path]:
    """Write the odd scans as PNG files, and say where."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(1, len(images), 2):
        paths.append(folder / f"{number:04d}-{digits[number]}.png")
        Image.fromarray(images[number]).save(paths[-1])
    return paths


def train(images: np.ndarray, digits: np.ndarray) -> CalibratedClassifierCV:
    """Fit on the even scans; calibration turns the machine's margins into probabilities."""
    model = CalibratedClassifierCV(SVC(C=10), ensemble=False)
    return model.fit(images[::2].reshape(-1, 64).astype(np.float32) / 255, digits[::2])


def export(model: CalibratedClassifierCV, path: Path) -> None:
    """Save as ONNX: `pixels` (N, 64) in, digits (N,) and probabilities (N, 10) out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx reads attributes that scikit-learn means to drop
        graph = to_onnx(model, initial_types=[("pixels", FloatTensorType([None, 64]))], options={"zipmap": False})
    path.write_bytes(graph.SerializeToString())


def main() -> None:
    images, digits = scans()
    held_out = put_aside(images, digits, HERE / "held-out")
    model = train(images, digits)
    export(model, HERE / "digits.onnx")
    read = np.stack([read_png(path.read_bytes()) for path in held_out])
    print(f"digits.onnx reads {model.score(read, digits[1::2]):.1%} of the {len(held_out)} scans in held-out/")


if __name__ == "__main__":
    main()
