"""How long a batch takes: duration = a·n + b, learned by least squares that forgets old batches."""

from __future__ import annotations

_MEMORY = 0.95  # weight that an observation keeps with each later one: about the last twenty batches count


class Timing:
    """Learns from (items, seconds); answers how long n items take and how many fit into a time."""

    def __init__(self) -> None:
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def learn(self, n: int, seconds: float) -> None:
        """Take in one batch of n items that took so many seconds."""
        self._weight = self._weight * _MEMORY + 1
        self._n = self._n * _MEMORY + n
        self._t = self._t * _MEMORY + seconds
        self._nn = self._nn * _MEMORY + n * n
        self._nt = self._nt * _MEMORY + n * seconds

    @property
    def line(self) -> tuple[float, float]:
        """(a, b) in seconds, neither negative; (0, 0) before the first batch.

        Batches of one size say nothing about b: then all of the time is charged to the items, which errs on the side
        of smaller batches.
        """
        if not self._weight:
            return 0.0, 0.0
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n**2
        if variance <= 1e-9 * mean_n**2:
            return mean_t / mean_n, 0.0
        slope = (self._nt / self._weight - mean_n * mean_t) / variance
        slope = min(max(slope, 0.0), mean_t / mean_n)
        return slope, mean_t - slope * mean_n

    def expected_s(self, n: int) -> float:
        """Seconds that n items are expected to take."""
        a, b = self.line
        return a * n + b

    def fitting(self, seconds: float, most: int) -> int:
        """The most items, at least 1 and up to `most`, that are expected to end within so many seconds."""
        if most == 1:
            return 1
        a, b = self.line
        if a * most + b <= seconds:
            return most
        # Past this line a > 0 or b alone is too long; in the second case one item is all that can be tried.
        return max(1, min(most, int((seconds - b) / a + 1e-9))) if a > 0 else 1
