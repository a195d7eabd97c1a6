"""What a function's replicas are told: their Spec, and the whole of their environment."""

from __future__ import annotations

from collections.abc import Mapping

from millrace.aws.environment import handler_environment
from millrace.config.schema import Project
from millrace.flow.inherited import inherited
from millrace.wire import Spec

_UNBOUNDED_MEMORY = 0


def spec_of(project: Project, name: str) -> Spec:
    """What a replica of the function is told."""
    function, aws = project.functions[name], project.aws
    return Spec(
        function=name,
        kind=function.kind,
        target=function.target,
        root=str(project.folder(name)),
        timeout_s=function.timeout,
        memory_bytes=function.memory or _UNBOUNDED_MEMORY,
        threads=function.threads,
        service=project.service,
        stage=project.stage,
        name=function.name or "",
        **({} if aws is None else {"region": aws.region, "account": aws.account}),
    )


def environment_of(project: Project, name: str, endpoint: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The whole environment of a function's replicas: ours without millrace's secrets, the project's, its own.

    `endpoint` are the variables that lead an SDK to the project's own AWS endpoint, where it has one.
    """
    function = project.functions[name]
    configured = {**project.environment, **function.environment}
    if function.kind != "model":
        return handler_environment(spec_of(project, name), inherited(), configured, endpoint)
    return inherited() | configured
