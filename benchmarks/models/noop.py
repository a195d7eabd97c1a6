"""Models that cost nothing, so that what is measured is the way to them and back."""


class Noop:
    def predict(self, inputs):
        return [{"size": len(each)} for each in inputs]


class Poisonable:
    """Refuses what begins with b"poison"; otherwise a little work for each item."""

    def predict(self, inputs):
        if any(each.startswith(b"poison") for each in inputs):
            raise ValueError("poison")
        return [{"size": len(each)} for each in inputs]


class Busy:
    """Keeps a core busy for about half a millisecond an item."""

    def predict(self, inputs):
        return [{"sum": sum(range(20_000)) + len(each)} for each in inputs]
