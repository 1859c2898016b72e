"""What is taken for a webhook of GoTo's: its signature, its age, and what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from poller.errors import Malformed
from poller.goto.webhooks import Scheme, is_fresh, is_signed, read

BODY = b'{"eventName": "registrant.added"}'
EVENT: dict[str, Any] = {
    "eventName": "registrant.added",
    "eventVersion": "1.0.0",
    "product": "g2w",
    "eventKey": "7fc43482-b239-45e2-a8f8-3ca2f1fbada8",
    "email": "bo@example.com",
    "webinarKey": 4255157664015486220,
    "webinarCreatorKey": 5511973216410820613,
    "registrantKey": 6820277626085326123,
    "timestamp": "2026-03-01T09:15:43.101Z",
}


def digest(secret: str, content: bytes = BODY, hash_: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), content, getattr(hashlib, hash_)).digest()


# ── the signature ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("hash_", ["sha256", "sha512", "sha1"])
@pytest.mark.parametrize("signed", ["body", "timestamp.body"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signature_in_each_scheme_is_known(hash_: Any, signed: Any, encoding: Any) -> None:
    scheme = Scheme("X-Sign", hash_, encoding, signed, "X-When")
    made = digest("key", b"1772356543." + BODY if signed == "timestamp.body" else BODY, hash_)
    text = made.hex() if encoding == "hex" else base64.b64encode(made).decode()
    headers = {"x-sign": text, "X-WHEN": "1772356543"}
    assert is_signed(scheme, ["key"], headers, BODY)
    assert not is_signed(scheme, ["key"], headers, BODY + b" ")
    assert not is_signed(scheme, ["other"], headers, BODY)
    later = is_signed(scheme, ["key"], {**headers, "X-WHEN": "1772356544"}, BODY)
    assert later is (signed == "body")


def test_either_of_two_keys_is_good_while_one_replaces_the_other() -> None:
    for used in ("old", "new"):
        assert is_signed(Scheme(), ["new", "old"], {"X-Webhook-Signature": digest(used).hex()}, BODY)


@pytest.mark.parametrize("text", [digest("key").hex().upper(), f"sha256={digest('key').hex()}"])
def test_the_usual_spellings_of_a_digest_are_known(text: str) -> None:
    assert is_signed(Scheme(), ["key"], {"X-Webhook-Signature": text}, BODY)


@pytest.mark.parametrize("text", ["", "nonsense", "é", digest("key").hex()[:-2], digest("key").hex() + "00", "sha256="])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_what_is_no_signature_is_refused(text: str, encoding: Any) -> None:
    assert not is_signed(Scheme(encoding=encoding), ["key"], {"X-Webhook-Signature": text}, BODY)


def test_nothing_is_signed_where_there_is_no_key_or_no_header() -> None:
    assert not is_signed(Scheme(), [], {"X-Webhook-Signature": digest("").hex()}, BODY)
    assert not is_signed(Scheme(), ["key"], {}, BODY)


# ── the event ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_texts_and_the_envelope_is_no_data() -> None:
    event = read(json.dumps(EVENT).encode())
    assert (event.name, event.key) == ("registrant.added", EVENT["eventKey"])
    assert (event.webinar_key, event.organizer_key) == ("4255157664015486220", "5511973216410820613")
    assert event.at == datetime(2026, 3, 1, 9, 15, 43, 101000, UTC)
    assert event.data == {
        "email": "bo@example.com",
        "webinarKey": "4255157664015486220",
        "webinarCreatorKey": "5511973216410820613",
        "registrantKey": "6820277626085326123",
    }


def test_what_is_new_or_missing_passes() -> None:
    event = read(b'{"eventName": "webinar.renamed", "webinarKey": "12", "organizerKey": 3, "brandNew": [{"a": 1}]}')
    assert (event.name, event.webinar_key, event.organizer_key, event.at) == ("webinar.renamed", "12", "3", None)
    assert event.data["brandNew"] == [{"a": 1}]
    assert (
        event.key
        == read(b'{"eventName": "webinar.renamed", "webinarKey": "12", "organizerKey": 3, "brandNew": [{"a": 1}]}').key
    )
    assert event.key != read(b'{"eventName": "webinar.renamed", "webinarKey": "13"}').key


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"<html>", b"{}", b'{"eventName": 3}', b'{"eventName": "added"}', b'{"eventName": "a.b\\n"}',
     b'{"eventName": "' + b"a." * 40 + b'b"}', b"[" * 100_000, b'{"eventName": "\xff.added"}',
     *(b'{"eventName": "a.b", "%s": ' % name + b"[" * deep + b"]" * deep + b"}"
       for deep in (120, 900, 3000) for name in (b"some", b"webinarKeys"))],
)  # fmt: skip
def test_a_body_that_names_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


@pytest.mark.parametrize("key", [True, -1, 1.5, "../x", "١٢", None, [1]])
def test_a_key_that_is_none_leads_nowhere(key: Any) -> None:
    assert read(json.dumps({**EVENT, "webinarKey": key}).encode()).webinar_key == ""


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (300, True), (301, False), (-300, True), (-301, False)])
def test_an_event_counts_within_the_window_before_and_after_now(seconds: int, fresh: bool) -> None:
    event = read(json.dumps(EVENT).encode())
    assert event.at is not None
    assert is_fresh(event, event.at + timedelta(seconds=seconds), timedelta(minutes=5)) is fresh


def test_times_without_a_zone_are_utc_and_unreadable_ones_do_not_matter() -> None:
    naive = read(json.dumps({**EVENT, "timestamp": "2026-03-01T09:15:43"}).encode())
    assert naive.at == datetime(2026, 3, 1, 9, 15, 43, tzinfo=UTC)
    for given in ("soon", 3, None):
        event = read(json.dumps({**EVENT, "timestamp": given}).encode())
        assert event.at is None and is_fresh(event, datetime.now(UTC), timedelta(0))
