"""A naive Bayes classifier of texts in plain Python: counts of words, and what follows from them.

The score of a label is log P(label) + the sum of log P(word | label), with add-one smoothing (Manning, Raghavan and
Schütze, Introduction to Information Retrieval, chapter 13).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def words_of(text: str) -> set[str]:
    """The stems of a text's words, each once: their first five letters, so that charge and charged are one word."""
    return {word[:5] for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 2}


class NaiveBayes:
    """Learns from (label, text) pairs; `probabilities` says how likely each label is for a new text."""

    def __init__(self, texts: Counter[str], words: dict[str, Counter[str]]) -> None:
        self.texts = texts
        self.words = words
        self.vocabulary = len({word for counts in words.values() for word in counts})

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]]) -> NaiveBayes:
        texts: Counter[str] = Counter()
        words: dict[str, Counter[str]] = {}
        for label, text in pairs:
            texts[label] += 1
            words.setdefault(label, Counter()).update(words_of(text))
        return cls(texts, words)

    def probabilities(self, text: str) -> dict[str, float]:
        """Label → probability; they add up to 1."""
        scores = {label: self._score(label, words_of(text)) for label in self.texts}
        highest = max(scores.values())
        likely = {label: math.exp(score - highest) for label, score in scores.items()}
        total = sum(likely.values())
        return {label: value / total for label, value in likely.items()}

    def _score(self, label: str, words: set[str]) -> float:
        counts = self.words[label]
        size = counts.total() + self.vocabulary
        prior = math.log(self.texts[label] / self.texts.total())
        return prior + sum(math.log((counts[word] + 1) / size) for word in words)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"texts": self.texts, "words": self.words}))

    @classmethod
    def read(cls, path: Path) -> NaiveBayes:
        saved = json.loads(path.read_text())
        return cls(Counter(saved["texts"]), {label: Counter(counts) for label, counts in saved["words"].items()})
