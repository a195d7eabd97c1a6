"""A project as systemd runs it: a target, the gateway and a worker for each function, under one user."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from millrace.deploy.names import label
from millrace.deploy.plan import Plan
from millrace.errors import ConfigError

_PLAIN = re.compile(r"/[A-Za-z0-9_./@:+-]*")
_LONGEST_USER = 31
# What every unit may not do. No MemoryDenyWriteExecute: compilers of models write code.
_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
PrivateTmp=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
SystemCallArchitectures=native
CapabilityBoundingSet=
UMask=0077
"""


def unit_files(plan: Plan, folder: PurePosixPath) -> dict[str, str]:
    """The files of a project in `folder`, by name: units, and a sysusers.d file that makes the user.

    Raises ConfigError for a folder with characters that unit files give a meaning.
    """
    if not _PLAIN.fullmatch(str(folder)):
        raise ConfigError(
            f"systemd units cannot name the folder {folder}", "expected letters, digits and _./@:+- from the root on"
        )
    service = label(plan.service, longest=_LONGEST_USER)
    parts = {f"{service}-gateway": ("the gateway", ["gateway"])}
    parts |= {
        f"{service}-worker-{label(work.function)}": (f"the function {work.function}", work.arguments)
        for work in plan.works
    }
    files = {f"{name}.service": _unit(plan, service, folder, *part) for name, part in parts.items()}
    files[f"{service}.target"] = _target(plan, parts)
    files[f"{service}.conf"] = f'# for /etc/sysusers.d\nu {service} - "{plan.service}" {folder}\n'
    return files


def _unit(plan: Plan, service: str, folder: PurePosixPath, what: str, arguments: list[str]) -> str:
    # PrivateDevices would hide a worker's GPU.
    devices = "PrivateDevices=yes\n" if arguments == ["gateway"] else ""
    return f"""\
[Unit]
Description={plan.service}: {what}
PartOf={service}.target
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User={service}
Group={service}
WorkingDirectory={folder}
Environment="MILLRACE_STAGE={plan.stage}"
# Secrets: MILLRACE_TOKEN, MILLRACE_BROKER_PASSWORD, ...; the file is root's alone.
EnvironmentFile=-/etc/{service}.env
# What the project keeps lies where this unit may write. It does not start over a folder .millrace: move that there.
StateDirectory={service}
StateDirectoryMode=0700
ExecStartPre=+/bin/ln --symbolic --force --no-target-directory /var/lib/{service} {folder}/.millrace
ExecStart={folder}/.venv/bin/millrace {" ".join(arguments)}
# The first signal goes to the parent alone, which finishes what runs ({plan.drain_s:g} s at most) and ends the rest.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={plan.grace_s}
Restart=on-failure
RestartSec=1
{_HARDENING}{devices}
[Install]
WantedBy={service}.target
"""


def _target(plan: Plan, names: dict[str, tuple[str, list[str]]]) -> str:
    wants = " ".join(f"{name}.service" for name in names)
    return f"""\
[Unit]
Description={plan.service}: gateway and workers
Wants={wants}

[Install]
WantedBy=multi-user.target
"""
