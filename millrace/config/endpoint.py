"""Whether the AWS endpoint would be open to others: beyond this machine it needs keys worth the name."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.config.aws import AwsConfig
from millrace.config.findings import Finding
from millrace.loopback import is_loopback

_LEAST_SECRET = 16  # characters
_MAKE_ONE = 'one made with: python -c "import secrets; print(secrets.token_urlsafe(30))"'


def check_endpoint(aws: AwsConfig | None) -> Iterator[Finding]:
    """Findings about where the endpoint listens and the keys that it asks for; secrets are not shown."""
    if aws is None or is_loopback(aws.host):
        return
    if not aws.keys:
        what = f"AWS's API on {aws.host or 'every address'} without keys: everybody could use it"
        yield Finding(
            ("aws", "host"), what, "an access key id with a long random secret in aws.keys, or host: 127.0.0.1"
        )
    for name, secret in aws.keys.items():
        if len(secret) < _LEAST_SECRET:
            what = f"the secret of aws.keys.{name} is shorter than {_LEAST_SECRET} characters, and could be guessed"
            yield Finding(("aws", "keys", name), what, _MAKE_ONE)
