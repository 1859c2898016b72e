"""The address at which GoTo's webhooks come in, the keys they are signed with, and what was set up at GoTo for it.

Secret keys are an OAuth client's: whoever made the newest decides what signs everybody's webhooks. They are kept sealed
in the state, two of a client, because events signed with the former one may still be under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
import structlog

from poller.errors import UsageError
from poller.goto.webhooks import Scheme
from poller.nudging import Terms
from poller.settings import Settings
from poller.settings.addresses import is_loopback
from poller.vault import Vault
from state.store import Store

# Below [http] public_url.
RECEIVER: Final = "/v1/goto/webhooks/"

KEPT: Final = 2  # secret keys of a client

_MEMORY: Final = "webhooks"


class Made(msgspec.Struct, frozen=True):
    """What one connection has at GoTo because of us: keys of webhooks and subscriptions, names of the events."""

    webhooks: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class _Memory(msgspec.Struct):
    sealed: str = ""  # secret keys by OAuth client, the newest first
    made: dict[str, Made] = {}  # by connection


async def made_at_goto(store: Store) -> dict[str, Made]:
    """What each connection has at GoTo, as far as the state knows."""
    return (await _recall(store)).made


async def _recall(store: Store) -> _Memory:
    return msgspec.json.decode(await store.memory(_MEMORY) or "{}", type=_Memory)


class Callback:
    """`load` first."""

    def __init__(self, store: Store, vault: Vault, settings: Callable[[], Settings]) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._made: dict[str, Made] = {}
        self._keys: dict[str, list[str]] = {}

    async def load(self) -> None:
        """Secret keys that the vault does not open are gone: worth a warning, as polls go on and others can be made."""
        memory = await _recall(self._store)
        self._made = memory.made
        try:
            self._keys = msgspec.json.decode(self._vault.open(memory.sealed.encode())) if memory.sealed else {}
        except UsageError:
            structlog.get_logger("poller").warning("webhooks.key_lost", mend="`poller webhooks subscribe`")

    async def _save(self) -> None:
        sealed = self._vault.seal(msgspec.json.encode(self._keys)).decode()
        await self._store.remember(_MEMORY, msgspec.json.encode(_Memory(sealed, self._made)).decode())

    # ── the address ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> str:
        """What GoTo is to call. Raises UsageError if it could not."""
        settings = self._settings()
        url = settings.http.public_url
        if not url:
            raise UsageError("[http] public_url is not set: GoTo has to be told where this engine is reached")
        if not settings.http.listen:
            raise UsageError('[http] listen = "": nothing takes webhooks in; give it an address')
        if urlsplit(url).scheme != "https" and not self._is_at_home(url):
            raise UsageError(f'[http] public_url = "{url}": GoTo calls https:// addresses only')
        return url + RECEIVER + self._vault.token(_MEMORY)

    def _is_at_home(self, url: str) -> bool:
        """A simulated GoTo on this machine may call this machine without https."""
        return all(is_loopback(urlsplit(one).hostname or "") for one in (url, self._settings().goto.api_url))

    def leads_here(self, url: str) -> bool:
        """Whether an address is one of this engine's, if with another token."""
        public = self._settings().http.public_url
        return bool(public) and url.startswith(public + RECEIVER)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def terms(self) -> Terms:
        """What the receiver goes by at this moment."""
        chosen = self._settings().webhooks
        scheme = Scheme(chosen.header, chosen.hash, chosen.encoding, chosen.signed, chosen.timestamp_header)
        own = [key for keys in self._keys.values() for key in keys]
        written = [secret.reveal() for secret in chosen.secrets]
        return Terms(self._vault.token(_MEMORY), [*written, *own], scheme if chosen.verify else None, chosen.window)

    def needs_key(self, client_id: str) -> bool:
        return not self._settings().webhooks.secrets and not self._keys.get(client_id)

    async def add_key(self, client_id: str, key: str) -> None:
        self._keys[client_id] = [key, *self._keys.get(client_id, [])][:KEPT]
        await self._save()

    # ── what was made ────────────────────────────────────────────────────────────────────────────────────────────────

    def made(self, connection: str) -> Made:
        return self._made.get(connection, Made())

    async def note(self, connection: str, made: Made) -> None:
        self._made = {**self._made, connection: made}
        if made == Made():
            del self._made[connection]
        await self._save()
