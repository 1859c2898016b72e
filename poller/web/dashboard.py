"""The dashboard: pages for people, their login, and their buttons. What is shown is lent by a `Panel`.

Every form holds the token of its session, so that no other site's page can press a button (CSRF).
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from aiohttp import web

from poller.errors import PollerError
from poller.web import asking
from poller.web.acting import Perform
from poller.web.gate import COOKIE, MAY_ACT, SESSION, Gate, is_page
from poller.web.handling import Handler, Handlers
from poller.web.problems import Problem
from poller.web.rendering import Pages, root_of
from poller.web.sessions import LIFETIME, Session
from poller.web.streaming import BEAT, Write, streamed
from poller.web.tail import Tail
from state.errors import StateError

_SOMEWHERE: Final = re.compile(r"/(?:ui/[\w/-]*)?(?:\?[\w=&%+.~*-]*)?", re.ASCII)  # a page of ours

Facts = Mapping[str, Any]


class Panel(Protocol):
    """What pages show, as values for their templates. `filters` write moments and lengths of time."""

    @property
    def filters(self) -> Mapping[str, Callable[..., Any]]: ...
    async def overview(self) -> Facts: ...
    async def connections(self, connection: str | None, page: int) -> Facts: ...
    async def sinks(self) -> Facts: ...
    async def dead(self, sink: str | None, after: int) -> Facts: ...
    async def journal(self, connection: str | None, page: int) -> Facts: ...
    async def events(self, before: int | None, type: str) -> Facts: ...  # noqa: A002 - as the query has it
    async def account(self, key: str) -> Facts | None:
        """None where nothing is known."""
        ...

    def look_again(self) -> None:
        """Something was changed: nothing that was read before is to be shown."""
        ...


@dataclass(frozen=True, slots=True)
class _Button:
    """`command` is poller.admin's; `fields` of the form are its arguments, and all must be filled in but `optional`."""

    command: str
    fields: Sequence[str]
    told: Callable[[Facts], str]
    optional: Sequence[str] = ()

    def arguments(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises Problem for a form that is not one of ours."""
        missing = [name for name in self.fields if not form.get(name)]
        if missing:
            raise Problem(400, f"the form lacks {', '.join(missing)}")
        return {name: form[name] for name in (*self.fields, *self.optional) if form.get(name)}


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


_BUTTONS: Final[Mapping[str, _Button]] = {
    "sync": _Button("sync", (), lambda done: f"Checking now: {done['nudged']} lists.", ("connection", "webinar")),
    "pause": _Button("pause", ("kind", "name"), lambda done: f"Paused {done['paused']}."),
    "resume": _Button(
        "resume",
        ("kind", "name"),
        lambda done: (
            f"Resumed {done['resumed']}"
            + (f"; {done['released']} held deliveries go out." if done["released"] else ".")
        ),
    ),
    "retry": _Button(
        "dead_retry", ("sink",), lambda done: f"{_letters(done['retried'])} will be sent again.", ("ids",)
    ),
    "drop": _Button("dead_drop", ("sink",), lambda done: f"{_letters(done['dropped'])} dropped.", ("ids",)),
}


class Dashboard:
    """`public_url` is that of the settings; cookies stay on https where it is the way in."""

    def __init__(
        self,
        panel: Panel,
        perform: Perform,
        gate: Gate,
        tail: Tail,
        *,
        asks_for_keys: Callable[[], bool],
        public_url: Callable[[], str],
    ) -> None:
        self._panel = panel
        self._perform = perform
        self._gate = gate
        self._tail = tail
        self._asks_for_keys = asks_for_keys
        self._public_url = public_url
        self._pages = Pages(panel.filters)

    def handlers(self) -> Handlers:
        panel = self._panel
        yield "showDashboard", self._shown("showDashboard", "overview.html", panel.overview)
        yield "showConnections", self._shown("showConnections", "connections.html", panel.connections)
        yield "showSinks", self._shown("showSinks", "sinks.html", panel.sinks)
        yield "showDead", self._shown("showDead", "dead.html", panel.dead)
        yield "showJournal", self._shown("showJournal", "journal.html", panel.journal)
        yield "showEvents", self._shown("showEvents", "events.html", panel.events)
        yield "showEvent", self.event
        yield "showAccount", self.account
        yield "followDashboard", self.follow
        yield "act", self.act
        yield "askForKey", self.ask_for_key
        yield "logIn", self.log_in
        yield "logOut", self.log_out
        yield "getAsset", self.asset

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shown(self, route: str, template: str, read: Callable[..., Awaitable[Facts]]) -> Handler:
        async def show(request: web.Request) -> web.Response:
            return self._page(request, template, await read(**asking.asked(request, route)))

        return show

    async def event(self, request: web.Request) -> web.Response:
        return await self._account_of(request, asking.asked(request, "showEvent")["id"])

    async def account(self, request: web.Request) -> web.Response:
        key = asking.asked(request, "showAccount")["key"]
        return await self._account_of(request, key) if key else self._page(request, "account.html", {"key": ""})

    async def _account_of(self, request: web.Request, key: str) -> web.Response:
        found = await self._panel.account(key)
        if found is None:
            return self._page(request, "account.html", {"key": key, "nothing": True}, status=404)
        return self._page(request, "account.html", {"key": key, **found})

    def _page(self, request: web.Request, template: str, facts: Facts, status: int = 200) -> web.Response:
        """A browser without a session gets one where no key is asked for: its forms need a token."""
        session, token = request.get(SESSION), ""
        if session is None and not self._asks_for_keys():
            token, session = self._gate.sessions.begin()
        notices = [] if session is None or "X-Look-Again" in request.headers else session.notices[:]
        values = {"may_act": request.get(MAY_ACT, False) and session is not None, "session": session, **facts}
        response = self._pages.page(
            request, template, status, notices=notices, here=request.path_qs, keyed=self._asks_for_keys(), **values
        )
        if session is not None and notices:
            del session.notices[: len(notices)]
        if token:
            self._set_cookie(request, response, token)
        return response

    def explain(self, request: web.Request, problem: Problem) -> web.StreamResponse:
        """A failure, as a page where a person has asked for one; who is not logged in is asked for a key."""
        if not is_page(request) or "text/html" not in request.headers.get("Accept", ""):
            return problem.answer()
        if problem.status == 401 and request.method == "GET":
            where = f"?next={quote(request.path_qs, safe='')}" if request.path_qs != "/" else ""
            return _redirect(f"{root_of(request)}ui/login{where}")
        return self._page(request, "problem.html", {"problem": problem}, problem.status)

    async def asset(self, request: web.Request) -> web.Response:
        found = self._pages.asset(asking.asked(request, "getAsset")["name"])
        if found is None:
            raise Problem(404, "there is no such file")
        return found

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """A line whenever the log has grown. What is new in it is read with the page, so this tells no person's data.

        It ends with the process, not with the session: who is logged out gets no page any more.
        """
        with self._tail.following() as follower:

            async def serve(write: Write) -> None:
                last = self._tail.last
                while not self._tail.closed:
                    if self._tail.last != last:
                        last = self._tail.last
                        await write(b"data: %d\n\n" % last)
                    elif follower.beat:
                        await write(BEAT)
                    follower.beat = False
                    await follower.rung()

            return await streamed(request, {}, serve)

    # ── buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def act(self, request: web.Request) -> web.Response:
        """What went wrong is told on the page that the button stands on."""
        session, form = await self._form_of_session(request)
        button = _BUTTONS.get(asking.asked(request, "act")["action"])
        if button is None:
            raise Problem(404, "there is no such button")
        arguments: dict[str, Any] = button.arguments(form)
        if "ids" in arguments:
            arguments["ids"] = [arguments["ids"]]
        try:
            session.notices.append(("done", button.told(await self._perform(button.command, arguments))))
        except (PollerError, StateError) as error:
            session.notices.append(("failed", str(error)))
        self._panel.look_again()
        return _redirect(_leading(request, form.get("back", "")))

    async def _form_of_session(self, request: web.Request) -> tuple[Session, Mapping[str, str]]:
        """Raises Problem unless the form was made for the session that sends it."""
        form = await _form(request)
        session = request.get(SESSION) or self._gate.sessions.find(request.cookies.get(COOKIE, ""))
        given = form.get("csrf", "").encode(errors="surrogateescape")
        if session is None or not hmac.compare_digest(given, session.csrf.encode()):
            raise Problem(403, "this form is not one of this session any more; load the page again")
        return session, form

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def ask_for_key(self, request: web.Request) -> web.Response:
        following = asking.asked(request, "askForKey")["next"] or "/"
        if not self._asks_for_keys():
            return _redirect(_leading(request, following))
        return self._login(request, following)

    async def log_in(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Problem(403, "pages of other sites may not log anybody in")
        form = await _form(request)
        following = form.get("next", "")
        try:
            token = self._gate.log_in(request, form.get("key", "").strip())
        except Problem as problem:
            wait = problem.headers.get("Retry-After")
            said = f"Too many wrong keys; again in {wait} s." if wait else "This is not one of the keys."
            return self._login(request, following, said, problem.status)
        response = _redirect(_leading(request, following))
        self._set_cookie(request, response, token)
        return response

    def _login(self, request: web.Request, following: str, said: str = "", status: int = 200) -> web.Response:
        return self._page(request, "login.html", {"next": following, "said": said}, status)

    async def log_out(self, request: web.Request) -> web.Response:
        await self._form_of_session(request)
        self._gate.sessions.end(request.cookies.get(COOKIE, ""))
        response = _redirect(f"{root_of(request)}ui/login")
        response.del_cookie(COOKIE)
        return response

    def _set_cookie(self, request: web.Request, response: web.Response, token: str) -> None:
        public = urlsplit(self._public_url())
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(LIFETIME),
            httponly=True,
            samesite="Lax",
            secure=public.scheme == "https" and public.netloc == request.host,
        )


async def _form(request: web.Request) -> Mapping[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Problem(415, "this takes what a form of the dashboard sends")
    try:
        async with asyncio.timeout(asking.BODY_SECONDS):
            sent = await request.post()
    except TimeoutError as error:
        raise Problem(408, f"the form did not come within {asking.BODY_SECONDS:g} s") from error
    return {name: value for name, value in sent.items() if isinstance(value, str)}


def _leading(request: web.Request, where: str) -> str:
    """The way from here to a page of ours; a path that is none of them leads to the first."""
    return root_of(request) + (where[1:] if _SOMEWHERE.fullmatch(where) and "//" not in where else "")


def _redirect(location: str) -> web.Response:
    return web.Response(status=303, headers={"Location": location})
