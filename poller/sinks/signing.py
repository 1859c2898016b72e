"""Standard Webhooks signatures: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from poller.fields import FieldError

PREFIX: Final = "whsec_"


def decode_secret(text: str) -> bytes:
    """The key in `whsec_<base64>`. Raises FieldError, whose text does not repeat the secret."""
    encoded = text.removeprefix(PREFIX)
    try:
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise FieldError(f'is not base64 after "{PREFIX}"') from err
    if encoded == text or not key:
        raise FieldError(f'must be "{PREFIX}" followed by base64; make one: echo {PREFIX}$(openssl rand -base64 32)')
    return key


def signature_headers(keys: Sequence[bytes], id_: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt at `timestamp` (POSIX seconds). Every key signs: either end may rotate first."""
    headers = {"webhook-id": id_, "webhook-timestamp": str(timestamp)}
    if keys:
        signed = f"{id_}.{timestamp}.".encode() + body
        headers["webhook-signature"] = " ".join(_signature(key, signed) for key in keys)
    return headers


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
