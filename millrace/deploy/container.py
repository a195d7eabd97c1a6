"""The file from which a project's container image is built."""

from __future__ import annotations

import json

from millrace.deploy.plan import Plan

USER_ID = 10001  # no one's on the machine: a number, since Kubernetes cannot tell whether a name is root
FOLDER = "/app"
_IGNORED = (".git", ".millrace", ".venv", ".env", "*.env", "**/__pycache__", "Containerfile", "Dockerfile")


def container_files(plan: Plan, *, version: str, python: str, has_requirements: bool) -> dict[str, str]:
    """Containerfile and .dockerignore by name. `version` is millrace's, `python` such as 3.12.

    With `has_requirements` the project's requirements.txt is installed beside millrace, before its code is copied, so
    that a change of the code alone installs nothing anew.
    """
    extras = f"[{','.join(plan.extras)}]" if plan.extras else ""
    packages = [f"millrace{extras}=={version}"]
    lines = [
        f"FROM docker.io/library/python:{python}-slim",
        "",
        "# Libraries keep caches at home; the user has none, and the file system may be read-only.",
        "ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
        f"WORKDIR {FOLDER}",
        "",
    ]
    if has_requirements:
        lines.append("COPY requirements.txt ./")
        packages += ["-r", "requirements.txt"]
    words = " ".join(json.dumps(word) if "[" in word else word for word in packages)
    lines += [
        f"RUN pip install --no-cache-dir {words} \\",
        f" && install --directory --owner={USER_ID} --group={USER_ID} {FOLDER}/.millrace",
        "",
        "COPY . .",
        "",
        f"USER {USER_ID}:{USER_ID}",
        f"ENV MILLRACE_PROJECT={FOLDER} MILLRACE_STAGE={json.dumps(plan.stage)}",
        f"EXPOSE {plan.port}",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["millrace"]',
        "# Everything in one container; `gateway`, or `worker --function NAME`, for a part of it.",
        'CMD ["up", "--host", "0.0.0.0"]',
    ]
    return {"Containerfile": "\n".join(lines) + "\n", ".dockerignore": "\n".join(_IGNORED) + "\n"}
