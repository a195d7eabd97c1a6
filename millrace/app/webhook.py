"""Posts results to webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.errors import StorageError
from millrace.types import JSON, Post

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 10.0


class Webhooks:
    """A connection pool to the URLs that the project file names; made on the first post."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def post(self, post: Post) -> None:
        """Post a result once; raises StorageError unless the answer is 2xx."""
        import httpx  # slow to import, and most projects have no webhook

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT_S)
        headers = {"content-type": JSON, "idempotency-key": post.id}
        try:
            response = await self._client.post(post.url, content=post.body, headers=headers)
        except httpx.HTTPError as error:
            raise StorageError(f"webhook {post.url} did not answer: {error!r}") from error
        if not response.is_success:
            raise StorageError(f"webhook {post.url} answered {response.status_code}")

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.aclose()
