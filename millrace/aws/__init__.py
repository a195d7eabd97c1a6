"""AWS's dialect: the events, context, environment, results and errors that a handler written for Lambda knows.

    what arrived ──events/──▶ event ─┐
                    context.py ──────┴▶ handler ──marshal.py──▶ JSON ──batch_response.py, responses.py──▶ what it means

Only shapes: nothing here does I/O, and no AWS library is needed.
"""
