"""What a template is deployed into: account, region, the stack's name, and what was said with --parameter."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

ACCOUNT = "000000000000"
REGION = "us-east-1"
ENDPOINT = "http://127.0.0.1:8401"
_STACK_ID = "00000000-0000-0000-0000-000000000000"


class Surroundings(msgspec.Struct, frozen=True):
    """`parameters` are the template's own by name; `endpoint` is where queue URLs begin."""

    account: str = ACCOUNT
    region: str = REGION
    stack: str = "app"
    stage: str = "dev"
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    endpoint: str = ENDPOINT

    @property
    def partition(self) -> str:
        """The partition that the region belongs to."""
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.region.rpartition("-")[0].rpartition("-")[0], "aws")

    @property
    def pseudo_parameters(self) -> dict[str, str | list[str]]:
        """CloudFormation's own parameters, but AWS::NoValue, which is no value."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return {
            "AWS::AccountId": self.account,
            "AWS::NotificationARNs": [],
            "AWS::Partition": self.partition,
            "AWS::Region": self.region,
            "AWS::StackId": self.arn("cloudformation", f"stack/{self.stack}/{_STACK_ID}"),
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": suffix,
        }

    def arn(self, service: str, resource: str, *, regional: bool = True, owned: bool = True) -> str:
        """The ARN of a resource; buckets have neither region nor account in theirs, roles no region."""
        region, account = self.region if regional else "", self.account if owned else ""
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"
