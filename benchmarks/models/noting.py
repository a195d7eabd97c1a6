"""A model that does nothing but note what it was given, in one write a batch."""

import os
import time

NOTES = os.open("notes.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
MARK = 25  # letters of a payload that say which it is and when it was sent


class Noting:
    def predict(self, inputs):
        now = f" {time.time():.6f}\n"
        os.write(NOTES, "".join([each[:MARK].decode() + now for each in inputs]).encode())
        return [None] * len(inputs)
