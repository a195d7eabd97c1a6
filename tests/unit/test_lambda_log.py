"""The log of one invocation, line by line as Lambda writes it."""

from __future__ import annotations

import pytest

from millrace.aws import errors
from millrace.aws.log import Invocation, log_of
from millrace.types import Failure

AT = 1_772_337_906.789  # 2026-03-01T04:05:06.789Z
BEFORE = ["START RequestId: r-1 Version: $LATEST", "said"]
REPORT = "REPORT RequestId: r-1\tDuration: 250.10 ms\tBilled Duration: 251 ms\tMemory Size: 256 MB\t"


def lines(failure: Failure | None, used_mb: int = 50) -> list[str]:
    return log_of(Invocation("r-1", 256, 0.2501, AT, used_mb * 2**20, failure), "said\n").splitlines()


def test_an_answer() -> None:
    assert lines(None) == [*BEFORE, "END RequestId: r-1", f"{REPORT}Max Memory Used: 50 MB\t"]
    assert lines(None, used_mb=0)[-1] == REPORT


@pytest.mark.parametrize(
    ("failure", "said", "report"),
    [
        (
            errors.timed_out("r-1", 3.0),
            ["2026-03-01T04:05:06.789Z r-1 Task timed out after 3.00 seconds", ""],
            "Max Memory Used: 50 MB\tStatus: timeout\t",
        ),
        (
            errors.exited("r-1", 7),
            ["RequestId: r-1 Error: Runtime exited with error: exit status 7", "Runtime.ExitError"],
            "Max Memory Used: 50 MB\tStatus: error\tError Type: Runtime.ExitError\t",
        ),
        (
            errors.out_of_memory("r-1", "f used 300 MB"),
            ["RequestId: r-1 Error: Runtime exited with error: signal: killed", "Runtime.OutOfMemory"],
            "Max Memory Used: 256 MB\tStatus: error\tError Type: Runtime.OutOfMemory\t",
        ),
        (
            Failure("app.BadPet", "no pet", 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    x()'),
            ["[ERROR] BadPet: no pet", "Traceback (most recent call last):", '  File "a.py", line 1, in f', "    x()"],
            "Max Memory Used: 50 MB\t",
        ),
        (
            Failure(errors.IMPORT, "Unable to import module 'app': No module named 'x'", "what to do"),
            [
                "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'x'",
                "Traceback (most recent call last):",
            ],
            "Max Memory Used: 50 MB\tStatus: error\tError Type: Runtime.ImportModuleError\t",
        ),
    ],
)
def test_a_failure(failure: Failure, said: list[str], report: str) -> None:
    assert lines(failure) == [*BEFORE, *said, "END RequestId: r-1", REPORT + report]
