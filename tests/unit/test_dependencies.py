"""Circles among the resources of a template."""

from __future__ import annotations

import pytest
from template_parts import stack_of

from millrace.formats.cloudformation.dependencies import circular

QUEUE = "Type: AWS::SQS::Queue"


def told(template: str) -> list[str]:
    faults = list(circular(stack_of(template)))
    assert all(fault.severity == "warning" for fault in faults)
    return [str(fault) for fault in faults]


@pytest.mark.parametrize(
    "need",
    [
        "DependsOn: B",
        "DependsOn: [C, B]",
        "Properties: {Tags: [{Value: !Ref B}]}",
        "Properties: {Tags: [{Value: !GetAtt B.Arn}]}",
        'Properties: {Tags: [{Value: !Sub "x-${B.Arn}"}]}',
        'Properties: {Tags: [{Value: !Sub ["${x}", {x: !Ref B}]}]}',
        "Properties: {Tags: [{Value: !If [Yes, !Ref B, !Ref C]}]}",
    ],
)
def test_a_circle_is_told_once_at_its_first_resource(need: str) -> None:
    template = f"""
        Conditions: {{Yes: !Equals [a, a]}}
        Resources:
          A: {{{QUEUE}, {need}}}
          B: {{{QUEUE}, DependsOn: A}}
          C: {{{QUEUE}}}
    """
    (found,) = told(template)
    assert found.startswith("t.yaml:4:3: warning: A → B → A wait for one another")


def test_one_that_waits_for_itself_and_a_long_way_round() -> None:
    template = f"""
        Resources:
          Self: {{{QUEUE}, DependsOn: Self}}
          A: {{{QUEUE}, DependsOn: B}}
          B: {{{QUEUE}, DependsOn: C}}
          C: {{{QUEUE}, DependsOn: B}}
    """
    first, second = told(template)
    assert "Self → Self wait" in first
    assert "B → C → B wait" in second


def test_no_circle() -> None:
    template = f"""
        Conditions: {{No: !Equals [a, b]}}
        Resources:
          A: {{{QUEUE}, DependsOn: [B, C]}}
          B: {{{QUEUE}, DependsOn: C, Properties: {{Tags: [{{Value: !Ref "AWS::Region"}}]}}}}
          C: {{{QUEUE}, Properties: {{Tags: [{{Value: !If [No, !Ref A, x]}}]}}}}
          D: {{{QUEUE}, Condition: No, DependsOn: D}}
    """
    assert not told(template)


def test_a_way_of_thousands_is_walked() -> None:
    lines = [f"  Q{each}: {{{QUEUE}, DependsOn: Q{each + 1}}}" for each in range(3000)]
    assert not told("Resources:\n" + "\n".join([*lines, f"  Q3000: {{{QUEUE}}}"]))
