"""A project on Kubernetes: the gateway behind a Service, and a Deployment for each function that KEDA scales."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from millrace.deploy.container import FOLDER, USER_ID
from millrace.deploy.keda import (
    BROKER_KEY,
    authentication_keys,
    scaled_object,
    trigger_authentication,
)
from millrace.deploy.names import label
from millrace.deploy.plain import DATABASE_KEY
from millrace.deploy.plan import HEALTH_PORT, Plan, Work
from millrace.errors import ConfigError

Json = dict[str, Any]
_Variables = Mapping[str, str]
_GATEWAY_MEMORY = "512Mi"
_MI = 1 << 20


def manifests(plan: Plan, *, image: str, pods: tuple[int, int], variables: _Variables | None = None) -> list[Json]:
    """Every object, in an order in which they can be made. `pods` are the fewest and the most of each function.

    `variables` are in every pod's environment, and may be read by everybody (`plain_addresses`).

    No value of a Secret is in them: pods get it as their environment. Raises ConfigError for a project whose queue is a
    file, which pods cannot share.
    """
    if plan.server is None:
        raise ConfigError(
            f"{plan.service} has its queue in a file, which no two pods can share",
            "expected a broker: --stage with one, or --broker amqp://HOST, redis://HOST, nats://HOST",
        )
    secret = secret_name(plan)
    authentication = trigger_authentication(plan, secret, _labels(plan, "worker"))
    found = [*_gateway(plan, image, secret), *([authentication] if authentication else [])]
    for work in plan.works:
        found += _worker(plan, work, image, secret, pods)
    for each in found:
        if each["kind"] == "Deployment":
            _add(each, variables or {})
    return found


def manifests_text(plan: Plan, *, image: str, pods: tuple[int, int], variables: _Variables | None = None) -> str:
    """The same as one YAML file, headed by what it needs."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump_all(manifests(plan, image=image, pods=pods, variables=variables), stream)
    return _heading(plan, variables or {}) + "---\n" + stream.getvalue()


def secret_name(plan: Plan) -> str:
    """The Secret that people make: its keys become environment variables of every pod."""
    return label(plan.service, "secrets")


def _heading(plan: Plan, variables: _Variables) -> str:
    assert plan.server is not None
    needed = ["MILLRACE_TOKEN=            a long random text, which clients of the gateway send"]
    if BROKER_KEY in authentication_keys(plan.server).values():
        needed.append(f"MILLRACE_BROKER=           {plan.server.example()}, for the pods and for KEDA")
    else:
        if BROKER_KEY not in variables:
            needed.append("MILLRACE_BROKER=           the broker's URL, where the project names none for this stage")
        needed.append("MILLRACE_BROKER_USER=      and MILLRACE_BROKER_PASSWORD=, where the broker wants them")
    if plan.has_database:
        if DATABASE_KEY not in variables:
            needed.append("MILLRACE_DATABASE=         the database's URL, where the project names none for this stage")
        needed.append("PGUSER=                    and PGPASSWORD=, where the database wants them")
    lines = [
        f"Made by `millrace manifests k8s` for {plan.service}, stage {plan.stage}.",
        "It needs KEDA 2.12 or later, which scales the workers, and a Secret:",
        f"  kubectl create secret generic {secret_name(plan)} --from-env-file=secrets.env",
        "with, in secrets.env, these and what the project reads by ${env:NAME}:",
        *(f"  {line}" for line in needed),
    ]
    if variables:
        lines.append(f"Written below, since nothing in it is secret: {', '.join(variables)}")
    return "".join(f"# {line}\n" for line in lines)


def _add(deployment: Json, variables: _Variables) -> None:
    """Give a Deployment's pods variables, which go before those of the Secret."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    # Kubernetes would read $(NAME) in a value as another variable.
    container["env"] += [{"name": name, "value": value.replace("$", "$$")} for name, value in variables.items()]


def _gateway(plan: Plan, image: str, secret: str) -> list[Json]:
    name, labels = label(plan.service, "gateway"), _labels(plan, "gateway")
    # Two gateways answer for each other only where both see all results.
    count = 2 if plan.has_database else 1
    arguments = ["gateway", "--host", "0.0.0.0", "--port", str(plan.port)]  # noqa: S104 - a pod's own address; it asks for a token
    resources = {"requests": {"cpu": "250m", "memory": _GATEWAY_MEMORY}, "limits": {"memory": _GATEWAY_MEMORY}}
    deployment = _deployment(plan, name, labels, image, secret, arguments, plan.port, resources)
    deployment["spec"]["replicas"] = count
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": plan.port, "targetPort": "http"}]},
    }
    return [deployment, service, _budget(name, labels)]


def _worker(plan: Plan, work: Work, image: str, secret: str, pods: tuple[int, int]) -> list[Json]:
    name = label(plan.service, "worker", work.function)
    labels = _labels(plan, "worker") | {"millrace/function": label(work.function)}
    arguments = [*work.arguments, "--health", f"0.0.0.0:{HEALTH_PORT}"]
    resources: Json = {"requests": {"cpu": str(work.replicas)}}
    if work.memory_bytes is not None:
        memory = f"{-(-work.memory_bytes // _MI)}Mi"
        resources = {"requests": {"cpu": str(work.replicas), "memory": memory}, "limits": {"memory": memory}}
    deployment = _deployment(plan, name, labels, image, secret, arguments, HEALTH_PORT, resources)
    scaled = scaled_object(plan, work, name, labels, pods)
    return [deployment, _budget(name, labels), *([scaled] if scaled else [])]


def _deployment(
    plan: Plan, name: str, labels: Json, image: str, secret: str, arguments: list[str], port: int, resources: Json
) -> Json:
    """A worker's has no `replicas`: that is KEDA's to set, and applying the file again would set it back."""
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": plan.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, image, secret, arguments, port, resources)],
        "volumes": [{"name": "state", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(plan: Plan, image: str, secret: str, arguments: list[str], port: int, resources: Json) -> Json:
    return {
        "name": "millrace",
        "image": image,
        "args": arguments,
        "env": [{"name": "MILLRACE_STAGE", "value": plan.stage}, {"name": "MILLRACE_PROJECT", "value": FOLDER}],
        "envFrom": [{"secretRef": {"name": secret}}],
        "ports": [{"name": "http", "containerPort": port}],
        # Alive is who answers at all: a function that does not load is mended by no restart.
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        "startupProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 2, "failureThreshold": 60},
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": f"{FOLDER}/.millrace"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }


def _budget(name: str, labels: Json) -> Json:
    """At most one pod at a time is taken away by a drain of nodes."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": labels},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }


def _labels(plan: Plan, component: str) -> Json:
    return {"app.kubernetes.io/name": label(plan.service), "app.kubernetes.io/component": component}
