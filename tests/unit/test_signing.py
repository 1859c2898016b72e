"""Signatures that an independent verifier accepts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from poller.fields import FieldError
from poller.sinks.signing import decode_secret, signature_headers

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = '{"email": "zoë@example.com"}'.encode()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_a_secret_is_replaced_either_one_verifies(secret: str) -> None:
    headers = signature_headers([decode_secret(OLD), decode_secret(NEW)], "e1", now(), BODY)
    assert Webhook(secret).verify(BODY, headers) == {"email": "zoë@example.com"}
    assert len(headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("change", [{"webhook-id": "e2"}, {"webhook-timestamp": str(now() - 1)}])
def test_the_signature_covers_id_and_time(change: dict[str, str]) -> None:
    headers = signature_headers([decode_secret(OLD)], "e1", now(), BODY) | change
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers)


def test_the_signature_covers_the_body() -> None:
    headers = signature_headers([decode_secret(OLD)], "e1", now(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY + b" ", headers)


def test_the_published_example_is_reproduced() -> None:
    """https://docs.svix.com/receiving/verifying-payloads/how-manual: id, time, secret and result are given there."""
    headers = signature_headers(
        [decode_secret(OLD)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    assert signature_headers([], "e1", 5, BODY) == {"webhook-id": "e1", "webhook-timestamp": "5"}


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_what_is_no_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(FieldError) as caught:
        decode_secret(text)
    assert "MfKQ" not in str(caught.value)
