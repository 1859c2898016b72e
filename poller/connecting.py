"""One connection's live parts: its token, its client, its sources. Built from settings, replaced by a reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import msgspec

from poller.admission import Start
from poller.errors import PermissionRefused, UsageError
from poller.goto import (
    Authenticator,
    Credentials,
    GotoClient,
    Identity,
    Limiter,
    Limits,
    Priority,
    TokenEndpoint,
    TokenSet,
    Transport,
    TransportSettings,
)
from poller.poll import Link
from poller.ports import Clock, CountHint, Source
from poller.settings import Settings
from poller.settings.sections import Connection
from poller.sources import (
    Answers,
    MeetingAttendeeSource,
    MeetingSessionSource,
    MeetingSource,
    MeetingStartSource,
    ParticipantSource,
    Readers,
    RegistrantSource,
    SessionSource,
    UpcomingCounts,
    WebinarSource,
    WebinarStartSource,
)
from poller.vault import Vault
from state.failpoints import hit
from state.records import ConnectionState
from state.store import Store


class SealedTokens:
    """poller.goto's TokenStore on the state: durable when `save` returns, sealed by the vault.

    `key_lost`: tokens that the key does not open count as no login at all, so that somebody can log in anew.
    """

    def __init__(self, store: Store, vault: Vault, *, key_lost: bool = False) -> None:
        self._store = store
        self._vault = vault
        self._key_lost = key_lost

    async def load(self, connection: str) -> TokenSet | None:
        fields = await self._fields(connection)
        if fields is None or "pat" in fields:
            return None
        return TokenSet(**{**fields, "expires_at": datetime.fromtimestamp(fields["expires_at"], UTC)})

    async def load_pat(self, connection: str) -> str | None:
        """The personal access token that somebody logged in with, where it was no OAuth login."""
        fields = await self._fields(connection)
        return None if fields is None else fields.get("pat")

    async def save_pat(self, connection: str, pat: str) -> None:
        await self._store.save_token(connection, self._vault.seal(msgspec.json.encode({"pat": pat})))

    async def _fields(self, connection: str) -> dict[str, Any] | None:
        sealed = await self._store.load_token(connection)
        if sealed is None:
            return None
        try:
            fields: dict[str, Any] = msgspec.json.decode(self._vault.open(sealed))
        except UsageError:
            if self._key_lost:
                return None
            raise
        return fields

    async def save(self, connection: str, tokens: TokenSet) -> None:
        fields = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_at": tokens.expires_at.timestamp(),
            "scope": tokens.scope,
            "principal": None,  # an e-mail address; nobody needs it later
        }
        await self._store.save_token(connection, self._vault.seal(msgspec.json.encode(fields)))


@dataclass(frozen=True, slots=True)
class Connected:
    """What works for one `[[connections]]` entry."""

    settings: Connection
    client_id: str
    endpoint: TokenEndpoint
    authenticator: Authenticator
    client: GotoClient
    clock: Clock
    wiring: tuple[object, ...]  # what it was made of: while that is the same, a reload leaves it alone

    @property
    def name(self) -> str:
        return self.settings.name

    async def look(self, state: ConnectionState, now: datetime, wait_at_most: float | None = None) -> None:
        """The cheapest call on the list that polling rests on. Raises what the client raises."""
        if "webinar" not in self.settings.products:
            await self.client.upcoming_meetings(priority=Priority.USER, wait_at_most=wait_at_most)
            return
        pages_of = self.client.account_webinar_pages if self.settings.account else self.client.webinar_pages
        key = state.account_key if self.settings.account else state.organizer_key
        day = timedelta(days=1)
        async for _ in pages_of(key, now, now + day, priority=Priority.USER, wait_at_most=wait_at_most):
            return

    def may_read(self, kind: str) -> bool:
        """Whether the login's scopes, as far as GoTo says which they are, suffice for a kind of list."""
        granted = self.authenticator.scope.split()
        return kind != "meeting_attendee" or not granted or "identity:" in granted

    def skips(self, organizer_key: str) -> bool:
        """Whether the settings leave this organizer of an account out."""
        wanted = any(fnmatchcase(organizer_key, pattern) for pattern in self.settings.organizers)
        return not wanted or any(fnmatchcase(organizer_key, glob) for glob in self.settings.exclude_organizers)

    def sees(self, state: ConnectionState, organizer_key: str, account_key: str) -> bool:
        """Whether a webinar of this organizer may be in its list. What tells of one need not name the account."""
        if "webinar" not in self.settings.products:
            return False
        if not self.settings.account:
            return state.organizer_key == organizer_key
        return account_key in ("", state.account_key) and not self.skips(organizer_key)

    def link(self, state: ConnectionState, now: datetime, is_paused: Callable[[str], bool]) -> Link:
        """The engine's view, once the keys are known."""

        def skips(organizer_key: str) -> bool:
            return self.settings.account and (self.skips(organizer_key) or is_paused(organizer_key))

        sources: list[Source] = []
        readers = self._readers(state, lambda key: not skips(key))
        if "webinar" in self.settings.products:
            sources += self._webinar_sources(state, lambda key: not skips(key), readers)
        if "meeting" in self.settings.products:
            sources += self._meeting_sources(readers)
        start = self.settings.start
        return Link(
            name=self.name,
            sources={source.kind: source for source in sources},
            start=Start(history=start.kind != "now", since=start.since(now)),
            past=self.settings.past,
            future=self.settings.future,
            skips=skips,
            count_hint=self._count_hint(state),
            enrich=self.settings.enrich,
            details={"participant": Answers(self.client)} if self.settings.answers else {},
            login=self.authenticator,
        )

    def _webinar_sources(self, state: ConnectionState, admits: Callable[[str], bool], readers: Readers) -> list[Source]:
        settings = self.settings
        account_key = state.account_key if settings.account else ""
        return [
            WebinarSource(self.client, organizer_key=state.organizer_key, account_key=account_key, admits=admits),
            RegistrantSource(self.client, page_above=settings.page_above),
            SessionSource(self.client),
            ParticipantSource(self.client, now=self.clock.now, settle=settings.settle),
            WebinarStartSource(self.client, readers),
        ]

    def _readers(self, state: ConnectionState, admits: Callable[[str], bool]) -> Readers:
        settings = self.settings
        return Readers(
            self.client,
            account=settings.account,
            organizer_key=state.organizer_key,
            now=self.clock.now,
            known=[key for key in settings.organizers if key.isdecimal()],
            admits=admits,
        )

    def _meeting_sources(self, readers: Readers) -> list[Source]:
        return [
            MeetingSource(self.client, readers),
            MeetingSessionSource(self.client, readers),
            MeetingAttendeeSource(self.client),
            MeetingStartSource(self.client, readers),
        ]

    def _count_hint(self, state: ConnectionState) -> CountHint | None:
        """An account's organizers have one each, which would cost as many calls; it is walked at one."""
        settings = self.settings
        if settings.account or settings.count_hint == "off" or "webinar" not in settings.products:
            return None
        return UpcomingCounts(self.client, state.organizer_key)


def transport_settings(settings: Settings) -> TransportSettings:
    return TransportSettings(
        poll_timeout=settings.engine.poll_timeout.total_seconds(),
        max_body=settings.engine.max_body,
        proxy=settings.goto.proxy,
        ca_file=settings.goto.ca_file,
    )


def limits_of(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(limits.per_second, limits.per_operation_per_second, limits.per_connection_per_minute, limits.per_day)


def scopes_of(settings: Settings, connection: Connection) -> str:
    """What a login of this connection asks for: meetings and accounts take one scope more."""
    scopes = settings.goto.scopes
    needs_more = connection.account or "meeting" in connection.products
    return f"{scopes} identity:" if needs_more and "identity:" not in scopes.split() else scopes


def oauth_client(settings: Settings, connection: Connection) -> Credentials:
    """The OAuth client of a connection. Raises UsageError when it is missing from the settings."""
    client_id, secret = settings.client_of(connection)
    if not client_id or secret is None:
        raise UsageError(
            f'connection "{connection.name}": no OAuth client; set client_id and client_secret in [goto]'
            " or in the connection"
        )
    return Credentials(client_id, secret.reveal())


async def connect(
    settings: Settings,
    connection: Connection,
    *,
    transport: Transport,
    limiter: Limiter,
    tokens: SealedTokens,
    clock: Clock,
) -> Connected:
    """Wire one connection. Raises UsageError when its OAuth client is missing from the settings."""
    pat = connection.pat.reveal() if connection.pat is not None else await tokens.load_pat(connection.name)
    credentials = replace(oauth_client(settings, connection), pat=pat)
    endpoint = TokenEndpoint(settings.goto.auth_url, credentials, transport, clock)
    authenticator = Authenticator(connection.name, endpoint=endpoint, store=tokens, clock=clock, failpoint=hit)
    client = GotoClient(
        connection.name,
        api_url=settings.goto.api_url,
        room_url=settings.goto.room_url,
        transport=transport,
        authenticator=authenticator,
        limiter=limiter,
        clock=clock,
    )
    wiring = wiring_of(settings, connection, transport, limiter)
    return Connected(connection, credentials.client_id, endpoint, authenticator, client, clock, wiring)


def wiring_of(settings: Settings, connection: Connection, transport: Transport, limiter: Limiter) -> tuple[object, ...]:
    return connection, settings.goto, transport, limiter


class Limiters:
    """One limiter per OAuth client: all its connections share the limits."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._limiters: dict[str, Limiter] = {}

    async def get(self, client_id: str, limits: Limits) -> Limiter:
        """The limiter of a client; changed limits begin with what the ledger says was spent."""
        found = self._limiters.get(client_id)
        if found is not None and found.limits == limits:
            return found
        if found is not None:
            await found.close()
        made = await Limiter.open(client_id, limits, clock=self._clock, rng=self._random, ledger=self._store.ledger)
        self._limiters[client_id] = made
        return made

    def __getitem__(self, client_id: str) -> Limiter:
        return self._limiters[client_id]

    async def close(self) -> None:
        for limiter in self._limiters.values():
            await limiter.close()


def introduced(
    state: ConnectionState, identity: Identity, connection: Connection, *, replace_it: bool
) -> ConnectionState:
    """The connection's state after who-am-I. Raises UsageError when somebody else answers under a known name."""
    if state.organizer_key and state.organizer_key != identity.organizer_key and not replace_it:
        raise UsageError(
            f'connection "{connection.name}": these credentials belong to organizer {identity.organizer_key}, but the'
            f" state knows it as {state.organizer_key}; use another name, or `poller login {connection.name} --replace`"
        )
    if connection.organizer_key not in (None, identity.organizer_key):
        raise UsageError(
            f'connection "{connection.name}": organizer_key is {connection.organizer_key} in the settings, but the'
            f" credentials belong to {identity.organizer_key}; mend the setting or log in as the other organizer"
        )
    account_key = identity.account_key or state.account_key
    if connection.account and not account_key:
        raise PermissionRefused(
            f'connection "{connection.name}": account = true, but GoTo names no account for these credentials;'
            " an administrator's login with the scope identity: is needed"
        )
    if state.organizer_key and state.organizer_key != identity.organizer_key:
        state = ConnectionState(connection.name)
    return replace(state, organizer_key=identity.organizer_key, account_key=account_key, status="active", reason="")
