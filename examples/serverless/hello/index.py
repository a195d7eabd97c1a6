"""The first function anyone writes: it prints what it was called with, and greets."""


def handler(event, context):
    print("Log event", event)
    return "Hello world"
