"""python -m pytest"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from app import MailSorter
from train import accuracy, read_pairs


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("You charged my card twice, please refund one payment.", "billing"),
        ("The app crashes with an error when I log in.", "technical"),
        ("My parcel has not arrived; where is the courier?", "delivery"),
    ],
)
def test_mails_find_their_desk(text: str, label: str) -> None:
    model = MailSorter()
    model.load()
    outputs = model.predict([model.preprocess(SimpleNamespace(body=text.encode()))])
    assert model.postprocess(outputs[0])["label"] == label


def test_mails_that_were_not_learnt_are_mostly_right() -> None:
    assert accuracy(read_pairs()) > 0.8
