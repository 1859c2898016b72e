"""Registrants joined with attendance, as the state knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from aiohttp import web

from poller.errors import NotFound
from poller.participants import Group, as_csv, participants, recorded
from poller.web import asking
from poller.web.handling import Handlers
from poller.web.problems import Problem
from poller.web.pull import answer
from poller.web.routes import CSV
from state.store import Store


class Participation:
    """`zone` is the name of the time zone of tables; everything else is in UTC."""

    def __init__(self, store: Store, zone: Callable[[], str]) -> None:
        self._store = store
        self._zone = zone

    def handlers(self) -> Handlers:
        yield "listParticipants", self.all

    async def all(self, request: web.Request) -> web.Response:
        asked = asking.asked(request, "listParticipants")
        try:
            found = await recorded(self._store, asked["webinarKey"])
        except NotFound as error:
            raise Problem(404, str(error)) from error
        # Of very many people this takes a while, which polls and other callers need not wait for.
        rows = (await asyncio.to_thread(participants, found, Group(asked["group"]))).rows
        if asked["format"] == "json":
            return answer(rows)
        table = await asyncio.to_thread(as_csv, rows, ZoneInfo(self._zone()))
        return web.Response(body=table.encode(), headers={"Content-Type": f"{CSV}; charset=utf-8; header=present"})
