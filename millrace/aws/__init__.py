"""AWS's dialect, on both sides: what a handler written for Lambda knows, and what an SDK asks for.

    what arrived ──events/──▶ event ─┐
                    context.py ──────┴▶ handler ──marshal.py──▶ JSON ──batch_response.py, responses.py──▶ what it means

    an SDK's request ──endpoint/──▶ sqs/ │ endpoint/functions.py │ moto/ ──receivers.py, subscribers.py──▶ messages

The files of this folder and `events/` are shapes alone: nothing there does I/O, and no AWS library is needed.
"""
