"""Other people's programs: send work to a project and read its results, over its file or over HTTP.

with millrace.Client("my-app") as client:          # or AsyncClient, or "http://localhost:8400"
    id = client.send("images", Path("cat.jpg").read_bytes())
    print(client.wait(id, timeout_s=5).value)
"""

from __future__ import annotations

from millrace.client.asynchronous import AsyncClient
from millrace.client.result import GatewayError, NotFinished, Result
from millrace.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "GatewayError", "NotFinished", "Result"]
