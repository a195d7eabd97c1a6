"""What is written beside a committed offset, and read again."""

from __future__ import annotations

import random

from millrace.brokers.kafka.progress import ROOM, Progress


def test_what_was_settled_out_of_order_is_known_after_a_restart() -> None:
    progress = Progress(10)
    assert all(progress.deliver(offset) for offset in range(10, 20))
    progress.count(10, 1)
    progress.count(12, 2)
    for offset in (11, 13, 14, 15):
        progress.settle(offset)
    assert (progress.base, progress.text()) == (10, "a-b-3")
    again = Progress(10, progress.text())
    assert [offset for offset in range(10, 20) if again.deliver(offset)] == [10, 12, 16, 17, 18, 19]
    assert (again.attempts(10), again.attempts(12), again.attempts(16)) == (1, 2, 0)
    again.settle(10)
    assert again.base == 12, "expected the committed offset to jump over what is settled"


def test_what_the_broker_leaves_out_holds_nothing_up() -> None:
    progress = Progress(0)
    assert progress.deliver(7)
    assert progress.base == 7
    assert progress.deliver(10), "expected the gap to count as settled"
    progress.settle(7)
    progress.settle(10)
    progress.reach(12)
    assert (progress.base, progress.next, progress.text()) == (12, 12, "")


def test_a_text_that_is_not_ours_counts_as_none() -> None:
    for text in ("{}", "a-9999999999", "-999999999", "ключ", "a" * (ROOM + 1)):
        progress = Progress(5, text)
        assert progress.deliver(5), text
        assert progress.attempts(5) == 0, text


def test_what_has_no_room_is_left_out_and_told() -> None:
    progress = Progress(0)
    for offset in range(2 * ROOM):
        progress.deliver(offset)
        if offset % 2:
            progress.settle(offset)
        else:
            progress.count(offset, 1)
    text = progress.text()
    assert len(text) <= ROOM
    assert not progress.fits
    assert Progress(0, text).counts(2 * ROOM)[0] >= ROOM, "expected nothing to count as settled that is not"


def test_whatever_is_settled_is_read_as_it_was_written() -> None:
    chance = random.Random(7)
    for _ in range(200):
        progress = Progress(chance.randrange(5))
        for offset in range(progress.base, 60):
            progress.deliver(offset)
            if chance.random() < 0.5:
                progress.settle(offset)
            elif chance.random() < 0.5:
                progress.count(offset, chance.randrange(1, 40))
        again = Progress(progress.base, progress.text())
        assert [again.is_settled(offset) for offset in range(60)] == [progress.is_settled(each) for each in range(60)]
        assert [again.attempts(offset) for offset in range(60)] == [progress.attempts(each) for each in range(60)]
