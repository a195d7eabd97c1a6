"""The child's side: a process that loads one function, stays warm and runs the batches that the parent sends.

`python -m millrace.replica FD` reads its Spec from the inherited socket FD, loads the function and answers Run with
Began and Ran (`wire.py`). It imports the standard library and msgspec only, so that it is up in a moment.
"""
