"""Where GoTo's webhooks come in over HTTP. GoTo looks at the address with a GET before it takes it, and wants 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from poller.web import asking
from poller.web.handling import Handlers
from poller.web.problems import Problem


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def detail(self) -> str: ...


class Nudging(Protocol):
    """What becomes of a webhook; poller.nudging has the one."""

    def is_here(self, token: str) -> bool: ...
    async def receive(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer: ...


class Receiver:
    """No key is asked for here: the token in the path and the signature are what counts."""

    def __init__(self, nudging: Nudging) -> None:
        self._nudging = nudging

    def handlers(self) -> Handlers:
        yield "probeWebhook", self.probe
        yield "receiveWebhook", self.receive

    async def probe(self, request: web.Request) -> web.StreamResponse:
        if not self._nudging.is_here(request.match_info["token"]):
            raise Problem(404, "there is nothing here")
        return web.Response()

    async def receive(self, request: web.Request) -> web.StreamResponse:
        token, body = request.match_info["token"], await asking.received(request)
        answer = await self._nudging.receive(token, request.headers, body)
        if answer.status != 200:
            raise Problem(answer.status, answer.detail)
        return web.Response()
