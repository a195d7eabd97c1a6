"""SQS against the model of the broker's suite, through boto3, the endpoint's front and the embedded queue."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from needs import needs_module

needs_module("boto3")

from sqs_machine import sqs_machine  # noqa: E402

from millrace.aws.sqs import receipts  # noqa: E402
from tests.conformance.machine_runs import run_machine  # noqa: E402


@pytest.mark.no_cover
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_machine(fifo: bool) -> None:
    run_machine(sqs_machine(fifo=fifo), 0.06)


def test_the_machine_finds_a_visibility_that_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(desk: object, leases: object, timeouts: object) -> dict[str, object]:
        return {}

    monkeypatch.setattr(receipts, "_hide", nothing)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            sqs_machine(fifo=False),
            settings=settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate]),
        )
