"""Where SQS is and who asks: endpoint, region and credentials as every AWS SDK finds them, and the signature.

botocore finds them (the URL first, then variables, profiles, container and instance roles) and signs; it sends nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from millrace.broker_address import Address
from millrace.errors import BrokerDenied, BrokerError

_JSON = "application/x-amz-json-1.0"
_NO_REGION = "localhost"  # what an address without a host has


class Access:
    """An endpoint's address, and the headers of the requests to it."""

    def __init__(self, endpoint: str, region: str, credentials: Any) -> None:
        self.endpoint = endpoint
        self._region = region
        self._credentials = credentials

    async def headers(self, action: str, body: bytes) -> dict[str, str]:
        """A signed request's headers. Raises BrokerError where credentials cannot be renewed."""
        request = AWSRequest(
            "POST", self.endpoint, {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": _JSON}, body
        )
        SigV4Auth(await self._frozen(), "sqs", self._region).add_auth(request)
        return {name: _text(value) for name, value in request.headers.items()}

    async def _frozen(self) -> Any:
        """Credentials as they are now; renewing those of a role asks another service, and would stop the loop."""
        if not isinstance(self._credentials, RefreshableCredentials):
            return self._credentials
        try:
            return await asyncio.to_thread(self._credentials.get_frozen_credentials)
        except BotoCoreError as error:
            raise BrokerError(f"the credentials for SQS cannot be renewed: {error}", "check the role") from error


async def open_access(address: Address) -> Access:
    """Find region, endpoint and credentials. Raises BrokerError."""
    return await asyncio.to_thread(_found, address)


def _found(address: Address) -> Access:
    has_region = address.host != _NO_REGION
    try:
        session = Session()
        client = session.create_client(
            "sqs",
            region_name=address.host if has_region else None,
            endpoint_url=address.options.get("endpoint"),
            aws_access_key_id=address.user,
            aws_secret_access_key=address.password,
            config=Config(parameter_validation=False),
        )
        credentials = client._get_credentials()
        urlsplit(client.meta.endpoint_url).port  # noqa: B018 - raises ValueError, which would come with each request
    except (BotoCoreError, ValueError) as error:
        raise BrokerDenied(
            f"broker {address if has_region else 'sqs://'}: {error}",
            "expected sqs://REGION, sqs://KEY:SECRET@REGION/ACCOUNT or ...?endpoint=http://HOST:PORT",
        ) from error
    if credentials is None:
        raise BrokerDenied(
            f"broker {address}: no AWS credentials were found",
            "put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the URL: sqs://KEY:SECRET@REGION",
        )
    return Access(client.meta.endpoint_url.rstrip("/") + "/", client.meta.region_name, credentials)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
