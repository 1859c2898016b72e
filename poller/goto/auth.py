"""Access tokens for one connection: one refresh at a time, shared by all who wait, durable before its first use."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from poller.errors import Reauthorize, Wait
from poller.goto.oauth import TokenEndpoint, TokenSet
from poller.ports import Clock

SKEW: Final = 60.0  # seconds: a token is renewed so long before it runs out, or at half of a shorter life


class TokenStore(Protocol):
    """Where logins are kept. One process at a time renews the tokens of a connection."""

    async def load(self, connection: str) -> TokenSet | None: ...

    async def save(self, connection: str, tokens: TokenSet) -> None:
        """Durable when it returns."""
        ...


def _nothing(point: str) -> None: ...


class Authenticator:
    """Hands out access tokens and renews them.

    The refresh runs in a task of its own: cancelling those who wait for it neither stops it nor loses its outcome.
    A token that was received but could not be saved is kept and saved again at the next call, because a rotated
    refresh token may work only once. A refused login is remembered and not tried again until the store holds
    another refresh token or `reset` is called. A personal access token needs no store: what it yields is not kept.

    `failpoint` is called with "token.received" (before saving) and "token.saved", for tests that crash there.
    """

    def __init__(
        self,
        connection: str,
        *,
        endpoint: TokenEndpoint,
        store: TokenStore,
        clock: Clock,
        failpoint: Callable[[str], None] = _nothing,
    ) -> None:
        self.connection = connection
        self._endpoint = endpoint
        self._store = store
        self._clock = clock
        self._failpoint = failpoint
        self._tokens: TokenSet | None = None
        self._fresh_until = -math.inf  # on the monotonic clock: a jump of the wall clock changes nothing
        self._unsaved: TokenSet | None = None
        self._refusal: tuple[str, Reauthorize] | None = None
        self._not_before = -math.inf
        self._renewal: asyncio.Task[TokenSet] | None = None

    async def access_token(self) -> str:
        """A token good for SKEW seconds by all we know. Raises Reauthorize, Wait, and what the store raises."""
        tokens = self._tokens
        if tokens is not None and self._clock.monotonic() < self._fresh_until:
            return tokens.access_token
        return (await self._renewed()).access_token

    async def renew(self, stale: str) -> str:
        """Another token than `stale`, which the API refused."""
        if self._tokens is not None and self._tokens.access_token == stale:
            self._fresh_until = -math.inf
        return await self.access_token()

    def reset(self) -> None:
        """New tokens were stored, or the credentials mended: forget what was refused."""
        self._refusal = None
        self._tokens = None
        self._fresh_until = -math.inf
        self._not_before = -math.inf

    @property
    def scope(self) -> str:
        """What the latest token was said to allow, separated by spaces; empty where GoTo did not say."""
        return self._tokens.scope if self._tokens is not None else ""

    async def close(self) -> None:
        """Let a refresh under way finish, so that what it brings is saved. Harmless when repeated."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    async def _renewed(self) -> TokenSet:
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(_look_at)
        return await asyncio.shield(self._renewal)

    async def _renew(self) -> TokenSet:
        """Runs alone."""
        if self._unsaved is not None:
            return await self._keep(self._unsaved)
        if self._endpoint.credentials.pat is not None:
            mend = f"put another into the setting pat, or run `poller login {self.connection} --pat`"
            return self._use(await self._ask(self._endpoint.personal, self._endpoint.credentials.pat, mend))
        stored = await self._store.load(self.connection)
        if stored is None:
            raise Reauthorize(f"{self.connection} has no login yet: run `poller login {self.connection}`")
        if self._is_news(stored):
            return self._use(stored)
        if stored.refresh_token is None:
            raise Reauthorize(f"the login of {self.connection} cannot be renewed: run `poller login {self.connection}`")
        fresh = await self._ask(self._endpoint.refresh, stored.refresh_token, f"run `poller login {self.connection}`")
        return await self._keep(stored.succeeded_by(fresh))

    def _is_news(self, stored: TokenSet) -> bool:
        """A login made meanwhile (or before this process) may still be good as it is."""
        known = self._tokens
        if known is not None and known.access_token == stored.access_token:
            return False
        return self._lifetime(stored) > SKEW

    async def _ask(self, grant: Callable[[str], Awaitable[TokenSet]], secret: str, mend: str) -> TokenSet:
        self._check_memory(secret)
        try:
            return await grant(secret)
        except Reauthorize as err:
            refusal = Reauthorize(f"{self.connection}: {err}; {mend}")
            self._refusal = (secret, refusal)
            raise refusal from err
        except Wait as err:
            if err.retry_after is not None:
                self._not_before = self._clock.monotonic() + err.retry_after
            raise

    def _check_memory(self, secret: str) -> None:
        """Spare the token endpoint what it has already answered."""
        if self._refusal is not None and self._refusal[0] == secret:
            raise Reauthorize(str(self._refusal[1]))
        left = self._not_before - self._clock.monotonic()
        if left > 0:
            raise Wait(f"{self.connection}: the token endpoint asked to wait", retry_after=left)

    async def _keep(self, fresh: TokenSet) -> TokenSet:
        self._unsaved = fresh
        self._failpoint("token.received")
        await self._store.save(self.connection, fresh)
        self._unsaved = None
        self._failpoint("token.saved")
        return self._use(fresh)

    def _use(self, tokens: TokenSet) -> TokenSet:
        lifetime = self._lifetime(tokens)
        self._tokens = tokens
        self._refusal = None
        self._fresh_until = self._clock.monotonic() + lifetime - min(SKEW, lifetime / 2)
        return tokens

    def _lifetime(self, tokens: TokenSet) -> float:
        return (tokens.expires_at - self._clock.now()).total_seconds()


def _look_at(renewal: asyncio.Task[TokenSet]) -> None:
    """Whoever still waits gets the failure; with nobody left, the next caller meets it again."""
    if not renewal.cancelled():
        renewal.exception()
