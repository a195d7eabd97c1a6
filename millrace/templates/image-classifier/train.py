"""Draw circles, squares and triangles, and train a small real network on them, so that there is something to run.

    python train.py      → shapes.onnx, and a few images to post in samples/

It takes a few seconds. For a model of your own, set MODEL and LABELS in millrace.yml; this file is then not needed.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).resolve().parent
LABELS = (HERE / "labels.txt").read_text().split()
SIDE = 24
TRAINING, HELD_OUT = 1500, 300


def draw(label: str, random: np.random.Generator) -> Image.Image:
    """One shape, near the middle, of random size, turn and colours."""
    back, fore = random.integers(0, 100, 3), random.integers(140, 256, 3)
    if random.random() < 0.5:
        back, fore = fore, back
    image = Image.new("RGB", (4 * SIDE, 4 * SIDE), tuple(back.tolist()))
    radius = random.uniform(0.28, 0.42) * image.width
    x, y = random.uniform(0.44, 0.56, 2) * image.width
    pen = ImageDraw.Draw(image)
    if label == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(fore.tolist()))
    else:
        corners = {"square": 4, "triangle": 3}[label]
        turn = random.uniform(-15, 15)
        pen.regular_polygon((x, y, radius), corners, rotation=turn, fill=tuple(fore.tolist()))
    return image


def examples(count: int, seed: int) -> tuple[list[Image.Image], np.ndarray]:
    """`count` drawings and what they show, as numbers of LABELS; the same for the same seed."""
    random = np.random.default_rng(seed)
    shown = random.integers(0, len(LABELS), count)
    return [draw(LABELS[index], random) for index in shown], shown


def pixels(images: list[Image.Image]) -> np.ndarray:
    """Drawings as the network wants them: (N, 3, SIDE, SIDE), 0 to 1."""
    small = [np.asarray(image.resize((SIDE, SIDE)), dtype=np.float32) / 255 for image in images]
    return np.stack(small).transpose(0, 3, 1, 2)


def export(network: MLPClassifier, path: Path) -> None:
    """Save as ONNX: images (N, 3, SIDE, SIDE) in, scores (N, labels) out."""
    nodes = [helper.make_node("Flatten", ["images"], ["layer0"])]
    weights = []
    for index, (matrix, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        last = index == len(network.coefs_) - 1
        weights.append(numpy_helper.from_array(matrix.astype(np.float32), f"matrix{index}"))
        weights.append(numpy_helper.from_array(bias.astype(np.float32), f"bias{index}"))
        sums = "scores" if last else f"sums{index}"
        nodes.append(helper.make_node("Gemm", [f"layer{index}", f"matrix{index}", f"bias{index}"], [sums]))
        if not last:
            nodes.append(helper.make_node("Relu", [sums], [f"layer{index + 1}"]))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(LABELS)])
    graph = helper.make_graph(nodes, "shapes", [images], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    partial = path.with_suffix(f".{os.getpid()}.part")  # replicas may train at the same time: each file is whole
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)


def main() -> float:
    """Train, export, put samples aside; the accuracy on drawings that the network has not seen."""
    images, shown = examples(TRAINING, seed=1)
    network = MLPClassifier((64,), max_iter=60, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 rounds are enough for shapes
        network.fit(pixels(images).reshape(TRAINING, -1), shown)
    export(network, HERE / "shapes.onnx")
    unseen, truth = examples(HELD_OUT, seed=2)
    accuracy = float(network.score(pixels(unseen).reshape(HELD_OUT, -1), truth))
    (HERE / "samples").mkdir(exist_ok=True)
    for number, label in enumerate(LABELS):
        unseen[list(truth).index(number)].save(HERE / "samples" / f"{label}.png")
    print(f"shapes.onnx is right about {accuracy:.1%} of {HELD_OUT} drawings it has not seen")
    return accuracy


if __name__ == "__main__":
    main()
