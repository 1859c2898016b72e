"""Amazon's services as moto plays them, in a process of their own. It keeps everything in memory: a kill empties it."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.servers.base import HOST, OwnServer, lacking

REGION = "eu-west-1"
_TIMEOUT = 30.0


class MotoServer(OwnServer):
    program = "moto"

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._options = options

    @classmethod
    def find(cls) -> str:
        if find_spec("moto") is None or find_spec("flask") is None:
            lacking("moto is not installed with its server")
        return sys.executable

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command(self) -> Sequence[str]:
        return [self.find(), "-m", "moto.server", "-H", HOST, "-p", str(self.port), *self._options]


@asynccontextmanager
async def moto(folder: Path) -> AsyncIterator[MotoServer]:
    server = MotoServer(folder)
    async with server.running():
        yield server


async def sqs_call(where: str, action: str, arguments: Mapping[str, Any]) -> Any:
    """One request as the service's documents say, signed by nobody. Raises urllib's HTTPError for a refusal.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
    """
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AmazonSQS.{action}",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/sqs/aws4_request, Signature=none",
    }
    return json.loads(await _post(where, json.dumps(arguments).encode(), headers) or b"{}")


async def ask_who_calls(where: str, after: float) -> None:
    """From so many requests on, only those signed by a user that moto knows are answered; infinity: everybody's."""
    await _post(f"{where}/moto-api/reset-auth", str(after).encode(), {"Content-Type": "text/plain"})


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    def post() -> bytes:
        request = urllib.request.Request(url, body, dict(headers))
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            found: bytes = answer.read()
            return found

    return await asyncio.to_thread(post)
