"""Paths that ask for an API key: `x-api-key` must carry one that the project knows, or API Gateway's 403 is the answer.

Source: API Gateway developer guide, "Choose an API key source" (the header) and "Gateway response types"
(INVALID_API_KEY: 403 and the message Forbidden, which tells no more than that).
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.sources.http.auth import same_secret
from millrace.sources.http.replies import Reply, json_reply
from millrace.sources.http.requests import KEY_NAME, Endpoint, Request

HEADER = b"x-api-key"
_REFUSED = ((b"x-amzn-errortype", b"ForbiddenException"),)


class KeyedEndpoint:
    """An endpoint behind a key; the name of the key that was sent is left in the request."""

    def __init__(self, endpoint: Endpoint, keys: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._keys = dict(keys)

    async def __call__(self, request: Request) -> Reply:
        name = self._name_of(request.header(HEADER) or "")
        if name is None:
            return json_reply({"message": "Forbidden"}, status=403, headers=_REFUSED)
        request.scope[KEY_NAME] = name
        return await self._endpoint(request)

    def _name_of(self, given: str) -> str | None:
        """The key's name; every key is compared, so that the time tells nothing of which came near."""
        found = [name for name, value in self._keys.items() if value and same_secret(given, value)]
        return found[0] if found else None
