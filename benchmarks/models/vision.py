"""Reads JPEG files with the network that the benchmark put beside this file."""

import io
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

SIDE = 96
NETWORK = Path(__file__).with_name("network.onnx")


class Photographs:
    """preprocess decodes and resizes, predict runs the network, one thread each."""

    def load(self, path=NETWORK):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def preprocess(self, message):
        with Image.open(io.BytesIO(message.body)) as image:
            pixels = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.asarray(pixels, dtype=np.float32).transpose(2, 0, 1) / 255

    def predict(self, inputs):
        return self.session.run(None, {"pixels": np.stack(inputs)})[0]

    def postprocess(self, output):
        return {"class": int(output.argmax()), "score": round(float(output.max()), 4)}
