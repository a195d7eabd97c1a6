"""Says which desk a mail is for. Plain Python: nothing here knows of millrace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bayes import NaiveBayes
from train import read_pairs

MODEL = Path(__file__).resolve().parent / "model.json"


class MailSorter:
    """Texts in, labels with confidences out."""

    def load(self) -> None:
        """Once per replica: what train.py saved, or, before it was run, learnt here from the shipped mails."""
        self.model = NaiveBayes.read(MODEL) if MODEL.exists() else NaiveBayes.fit(read_pairs())

    def preprocess(self, message: Any) -> str:
        """One mail's text. What this raises fails that mail alone."""
        text = str(message.body.decode()).strip()
        if not text:
            raise ValueError("the mail is empty")
        return text

    def predict(self, texts: list[str]) -> list[dict[str, float]]:
        """A list of texts into a list of label → probability."""
        return [self.model.probabilities(text) for text in texts]

    def postprocess(self, likely: dict[str, float]) -> dict[str, Any]:
        """What the client gets, and what becomes a row of `labels`."""
        best = max(likely, key=likely.__getitem__)
        return {"label": best, "confidence": round(likely[best], 4)}
