"""Real images and a convolutional model to read them: crops of scikit-learn's two photographs, an ONNX network."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image
from sklearn.datasets import load_sample_images

SIDE = 96


def jpegs(count: int, side: int) -> list[bytes]:
    """`count` JPEG files of `side` pixels square, cut from china.jpg and flower.jpg at random places."""
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    random = np.random.default_rng(7)
    files = []
    for index in range(count):
        photograph = photographs[index % 2]
        left = int(random.integers(0, photograph.width - side + 1))
        top = int(random.integers(0, photograph.height - side + 1))
        file = io.BytesIO()
        photograph.crop((left, top, left + side, top + side)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def make_network(path: Path, blocks: int) -> None:
    """A network from (N, 3, 96, 96) to 10 scores: two steps down, then `blocks` 3x3 convolutions of 48 channels."""
    random = np.random.default_rng(7)
    widths = [(3, 24, 2), (24, 48, 2), *[(48, 48, 1)] * blocks]
    nodes, weights, name = [], [], "pixels"
    for index, (before, after, stride) in enumerate(widths):
        kernel = random.normal(0, (2 / (9 * before)) ** 0.5, (after, before, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel{index}"))
        nodes.append(
            helper.make_node(
                "Conv", [name, f"kernel{index}"], [f"conv{index}"], pads=[1, 1, 1, 1], strides=[stride, stride]
            )
        )
        nodes.append(helper.make_node("Relu", [f"conv{index}"], [f"relu{index}"]))
        name = f"relu{index}"
    weights.append(numpy_helper.from_array(random.normal(0, 0.1, (48, 10)).astype(np.float32), "classes"))
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    nodes.append(helper.make_node("MatMul", ["features", "classes"], ["scores"]))
    graph = helper.make_graph(
        nodes,
        "benchmark",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
