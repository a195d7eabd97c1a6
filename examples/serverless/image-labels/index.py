"""Reads the digit on each image that a queue names by its URL; the model is an object in a bucket."""

import os
import tempfile
from urllib.request import urlretrieve

import boto3
import numpy as np
import onnxruntime
from PIL import Image

BUCKET = os.environ["MODEL_BUCKET"]
KEY = "digits/digits.onnx"
SESSION = None


def session():
    """The model, fetched with the first message and kept for the next."""
    global SESSION
    if SESSION is None:
        data = boto3.client("s3").get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        SESSION = onnxruntime.InferenceSession(data)
    return SESSION


def run_inference_on_image(path):
    """The digit that an image file of 8x8 pixels shows, as text."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"), dtype=np.float32).reshape(1, -1) / 255
    digits, _ = session().run(None, {"pixels": pixels})
    return str(digits[0])


def handler(event, context):
    client = boto3.client("sqs")
    address = client.get_queue_url(QueueName="DLWriteSQS")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "inputimage.png")
        for message in event["Records"]:
            urlretrieve(message["body"].strip("'"), path)
            client.send_message(QueueUrl=address["QueueUrl"], MessageBody=run_inference_on_image(path))
