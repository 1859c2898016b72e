"""Who may ask, and how often.

With keys, a key is asked for; for pages of the dashboard a session that was opened with one will do. Without any, the
surface only listens on this machine; then a browser is what could be made to ask for somebody else, so names that lead
here from elsewhere and requests of other sites' pages are refused.
"""

from __future__ import annotations

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from poller.ports import Clock
from poller.web.problems import Problem
from poller.web.sessions import Session, Sessions, digest
from poller.web.surface import BY_NAME

# Requests of one caller: so many a second in the long run, and so many at once. After a restart all who have a stream
# come back in the same moment, maybe with one key, and browsers do not try again after a 429.
PER_SECOND: Final = 100.0
BURST: Final = 2000.0

# Wrong keys from one address: a person mistypes, a program tries.
WRONG_PER_SECOND: Final = 0.2
WRONG_BURST: Final = 20.0

_BUCKETS: Final = 10_000  # callers that are remembered
_OPEN: Final = frozenset((route.method, route.path) for route in BY_NAME.values() if route.open)
_PAGES: Final = frozenset(route.path for route in BY_NAME.values() if route.page)

_UNKNOWN: Final = "(unknown)"

COOKIE: Final = "poller_session"

CALLER: Final = web.RequestKey("caller", str)
MAY_ACT: Final = web.RequestKey("may act", bool)
SESSION: Final = web.RequestKey("session", Session)  # of whoever asks for a page and has one


class Keys(NamedTuple):
    """`readers` may look and not act; a key in both lists is one of theirs."""

    actors: Sequence[str] = ()
    readers: Sequence[str] = ()


class _Right(NamedTuple):
    caller: str  # for the log
    may_act: bool


class Gate:
    """`keys` are asked for anew at every request, so that a reload changes them. `hosts`: names this server goes by."""

    def __init__(
        self, clock: Clock, keys: Callable[[], Keys], hosts: Callable[[], Collection[str]] = lambda: ()
    ) -> None:
        self.sessions = Sessions(clock)
        self._keys = keys
        self._hosts = hosts
        self._pace = Buckets(clock, PER_SECOND, BURST)
        self._wrong = Buckets(clock, WRONG_PER_SECOND, WRONG_BURST)

    def admit(self, request: web.Request) -> None:
        """Raises Problem: 401, 403 or 429."""
        right = self._right_of(request)
        request[CALLER], request[MAY_ACT] = right
        wait = self._pace.take(f"{right.caller} {request.remote}" if right.caller == "anybody" else right.caller)
        if wait:
            raise _too_many("too many requests of this caller", wait)
        if not right.may_act and request.method not in ("GET", "HEAD"):
            raise Problem(403, "this key may look and not act; it stands under [http] read_only_keys")

    def log_in(self, request: web.Request, key: str) -> str:
        """Open a session with a key; returns its token. Raises Problem: 401 or 429."""
        self._known(request, key)
        return self.sessions.begin(digest(key))[0]

    def _right_of(self, request: web.Request) -> _Right:
        if ("GET" if request.method == "HEAD" else request.method, path_of(request)) in _OPEN:
            return _Right("anybody", may_act=True)
        session = self.sessions.find(request.cookies.get(COOKIE, "")) if is_page(request) else None
        if not any(self._keys()):
            self._require_local(request)
            if session is not None and not session.key:
                request[SESSION] = session
            return _Right("this machine", may_act=True)
        given = _given_key(request.headers)
        if not given and session is not None and (right := self._right_with(session.key)) is not None:
            request[SESSION] = session
            return right
        return self._known(request, given)

    def _known(self, request: web.Request, given: str) -> _Right:
        right = self._right_with(digest(given)) if given else None
        if right is not None:
            return right
        wait = self._wrong.take(request.remote or "") if given else 0.0
        if wait:
            raise _too_many("too many wrong keys from this address", wait)
        raise Problem(
            401,
            "this takes one of the keys under [http] api_keys, in X-API-Key or as Authorization: Bearer",
            headers={"WWW-Authenticate": 'Bearer realm="goto-poller"'},
        )

    def _right_with(self, given: bytes) -> _Right | None:
        """Of the key with this digest."""
        keys = self._keys()
        readers, actors = _position(given, keys.readers), _position(given, keys.actors)
        if readers is not None:
            return _Right(f"read-only key {readers + 1}", may_act=False)
        return None if actors is None else _Right(f"key {actors + 1}", may_act=True)

    def _require_local(self, request: web.Request) -> None:
        if not self._is_own(request.host):
            raise Problem(403, "this name is not one of this server's; set [http] public_url, or api_keys")
        origin = request.headers.get("Origin", "")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") or (
            origin and not self._is_own(origin.partition("://")[2])
        ):
            raise Problem(403, "pages of other sites may not ask without a key; set [http] api_keys")

    def _is_own(self, host: str) -> bool:
        """`host` with or without a port, as a browser names it."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._hosts()


def path_of(request: web.Request) -> str:
    """As its route is written: what a caller put into it may be a token or a person."""
    resource = request.match_info.route.resource
    return _UNKNOWN if resource is None else resource.canonical


def is_page(request: web.Request) -> bool:
    """Whether it is about the dashboard; where nothing is, that is what tells a person so."""
    path = path_of(request)
    return path in _PAGES or (path == _UNKNOWN and not request.path.startswith("/v1/"))


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _given_key(headers: Mapping[str, str]) -> str:
    if key := headers.get("X-API-Key", ""):
        return key
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _position(given: bytes, keys: Sequence[str]) -> int | None:
    """All keys are compared, and digests of one length: the time taken says nothing about any of them."""
    equal = [hmac.compare_digest(given, digest(key)) for key in keys]
    return equal.index(True) if any(equal) else None


def _too_many(what: str, wait: float) -> Problem:
    seconds = math.ceil(wait)
    return Problem(429, f"{what}; again in {seconds} s", headers={"Retry-After": str(seconds)})


class Buckets:
    """One token bucket per name. The least used names are forgotten, which fills their buckets."""

    def __init__(self, clock: Clock, per_second: float, burst: float) -> None:
        self._clock = clock
        self._rate = per_second
        self._burst = burst
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name → level, at (monotonic)

    def take(self, name: str) -> float:
        """0 if there was one left; else the seconds until there is."""
        now = self._clock.monotonic()
        level, at = self._levels.get(name, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        taken = level >= 1
        self._levels[name] = (level - 1 if taken else level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > _BUCKETS:
            self._levels.popitem(last=False)
        return 0.0 if taken else (1 - level) / self._rate
