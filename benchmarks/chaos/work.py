"""The fleet's functions: each execution is noted in a file before it is answered, whatever becomes of the answer."""

import os

NOTES = os.open("executions.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def run():
    """Another text for each execution, so that a row that is written twice is seen to be."""
    return os.urandom(8).hex()


class Classify:
    """One note a batch, in one write, so that notes of several processes do not mix."""

    def preprocess(self, message):
        return message.body[: message.body.index(b".")].decode()

    def predict(self, ids):
        os.write(NOTES, "".join(f"{id}\n" for id in ids).encode())
        return [{"label": sum(map(ord, id)) % 10, "run": run()} for id in ids]


class File:
    """Files what Classify has sent on."""

    def predict(self, inputs):
        return [{"filed": each, "run": run()} for each in inputs]
