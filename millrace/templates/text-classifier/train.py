"""Learn from mails.tsv (label, tab, text; a line each) and save what was learnt.

    python train.py      → model.json

To see how well it works, each mail is judged by a model that learnt from all the others.
"""

from __future__ import annotations

from pathlib import Path

from bayes import NaiveBayes

HERE = Path(__file__).resolve().parent


def read_pairs(path: Path = HERE / "mails.tsv") -> list[tuple[str, str]]:
    """The labelled texts."""
    rows = [line.split("\t", 1) for line in path.read_text().splitlines() if line]
    return [(label, text) for label, text in rows]


def accuracy(pairs: list[tuple[str, str]]) -> float:
    """The share of texts that a model gets right which learnt from all the others."""
    right = 0
    for index, (label, text) in enumerate(pairs):
        likely = NaiveBayes.fit(pairs[:index] + pairs[index + 1 :]).probabilities(text)
        right += label == max(likely, key=likely.__getitem__)
    return right / len(pairs)


def main() -> None:
    pairs = read_pairs()
    NaiveBayes.fit(pairs).save(HERE / "model.json")
    print(f"model.json learnt {len(pairs)} mails; {accuracy(pairs):.0%} right when each is held out")


if __name__ == "__main__":
    main()
