"""What a project needs to run elsewhere, as documents: a container file, systemd units, Kubernetes manifests."""

from millrace.deploy.container import container_files
from millrace.deploy.keda import has_scaler
from millrace.deploy.kubernetes import manifests, manifests_text
from millrace.deploy.plain import plain_addresses
from millrace.deploy.plan import Plan, plan_of
from millrace.deploy.systemd import unit_files

__all__ = [
    "Plan",
    "container_files",
    "has_scaler",
    "manifests",
    "manifests_text",
    "plain_addresses",
    "plan_of",
    "unit_files",
]
