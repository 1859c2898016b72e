"""Secrets at rest: tokens are sealed with Fernet (AES-128-CBC and HMAC-SHA256), people remembered as keyed hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from poller.errors import UsageError


class Vault:
    """Made from one secret text, or several separated by commas: the first seals, all of them open (rotation)."""

    def __init__(self, key: str, origin: str) -> None:
        texts = [text.strip() for text in key.split(",") if text.strip()]
        if not texts:
            raise UsageError(f"{origin}: the key is empty; give it at least one long random text")
        self._origin = origin
        self._fernet = MultiFernet([Fernet(_derive(text)) for text in texts])
        # The last key is the oldest one: it stays when a new one is put in front of it.
        self._people = hashlib.sha256(b"people\n" + texts[-1].encode()).digest()
        self._paths = hashlib.sha256(b"paths\n" + texts[-1].encode()).digest()

    def seal(self, plain: bytes) -> bytes:
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Raises UsageError if it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise UsageError(
                f"{self._origin}: this key does not open the stored tokens; give back the key they were sealed with"
                " (several may stand there, separated by commas), or log in anew: `poller login NAME --replace`"
            ) from error

    def token(self, place: str) -> str:
        """A text for the path of an address that nobody can guess, always the same for the same place."""
        return hmac.digest(self._paths, place.encode(), "sha256")[:18].hex()

    def person(self, email: str) -> bytes:
        """A keyed hash of the address: recognises a person without keeping one."""
        return hmac.digest(self._people, email.strip().casefold().encode(), "sha256")


class Forgotten:
    """The people who asked to be erased, as keyed hashes. False while there are none: then nobody is looked up."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.people: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.people)

    def __call__(self, email: str) -> bool:
        return bool(self.people) and self._vault.person(email) in self.people


def _derive(text: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"tokens\n" + text.encode()).digest())


def open_vault(key: str | None, state: Path | None) -> Vault:
    """With the key from the settings, else with a key file beside the state, made (mode 0600) when there is none."""
    if key is not None:
        return Vault(key, "engine.key")
    if state is None:
        return Vault(os.urandom(32).hex(), "engine.key")
    path = state.with_name(state.name + ".key")
    try:
        _make_key(path)
        return Vault(path.read_text(), str(path))
    except OSError as error:
        raise UsageError(
            f"{path}: the key file cannot be read or made ({error.strerror}); or set engine.key"
        ) from error


def _make_key(path: Path) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(os.urandom(32).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
