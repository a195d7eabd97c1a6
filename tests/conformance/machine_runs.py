"""How state machines are run: a share of the profile's examples, since some brokers take longer than others."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(machine: type[RuleBasedStateMachine], share: float) -> None:
    """Raises what the machine found."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=round(settings().max_examples * share),
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
