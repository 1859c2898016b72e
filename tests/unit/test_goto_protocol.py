"""Which request asks for what, and what an answer means, without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import Raw
from msgspec.json import Decoder

from poller.errors import Malformed, NotFound, PermissionRefused, Reauthorize, Refused, Wait
from poller.goto import TokenRefused, key_of, protocol
from poller.goto.models import WireAdminMe, WireScimMe, identity_of_admin, identity_of_scim
from poller.goto.protocol import Requests, interpret

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
REQUESTS = Requests("https://api.example.test/")


def read(status, body=b"", headers=None):
    return interpret(status, headers or {}, body, lambda: NOW)


def decode(shape, body):
    return protocol.decode(Decoder(shape), body, "a user")


def page(items, total=None, **page_fields):
    embedded = {} if items is None else {"_embedded": {"webinars": items}}
    total = len(items or []) if total is None else total
    return json.dumps({**embedded, "page": {"totalElements": total, **page_fields}}).encode()


# --- requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (REQUESTS.admin_me(), "/admin/rest/v1/me"),
        (REQUESTS.scim_me(), "/identity/v1/Users/me"),
        (
            REQUESTS.webinars("55", NOW, LATER, 3),
            "/G2W/rest/v2/organizers/55/webinars?fromTime=2026-03-01T09:00:00Z&toTime=2027-03-01T09:00:00Z"
            "&page=3&size=200",
        ),
        (
            REQUESTS.account_webinars("77", NOW, LATER, 0),
            "/G2W/rest/v2/accounts/77/webinars?fromTime=2026-03-01T09:00:00Z&toTime=2027-03-01T09:00:00Z"
            "&page=0&size=200",
        ),
        (REQUESTS.webinar("55", "42"), "/G2W/rest/v2/organizers/55/webinars/42"),
        (REQUESTS.registrants("55", "42"), "/G2W/rest/v2/organizers/55/webinars/42/registrants"),
        (
            REQUESTS.registrants_page("55", "42", 1),
            "/G2W/rest/v2/organizers/55/webinars/42/registrants?page=1&limit=200",
        ),
        (REQUESTS.registrant("55", "42", "6"), "/G2W/rest/v2/organizers/55/webinars/42/registrants/6"),
    ],
)
def test_every_call_asks_for_what_the_vendor_documents(request_, url):
    assert (request_.method, str(request_.url)) == ("GET", "https://api.example.test" + url)


def test_times_are_sent_in_utc_and_never_without_a_zone():
    assert protocol.utc(datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2026-02-28T23:30:00Z"
    with pytest.raises(ValueError, match="aware"):
        protocol.utc(NOW.replace(tzinfo=None))


def test_a_key_stays_one_segment_of_the_path_whatever_is_in_it():
    assert REQUESTS.webinar("1", "a/../b?c#d").url.raw_path.endswith("/webinars/a%2F..%2Fb%3Fc%23d")
    for key in ("", ".", ".."):
        with pytest.raises(Refused, match="key"):
            REQUESTS.webinar("1", key)


# --- errors ------------------------------------------------------------------------------------------------------

INVALID_TOKEN = b'{"int_err_code":"InvalidToken","msg":"Invalid token passed"}'
NOT_FOUND = b'{"errorCode":"NotFound","description":"Webinar with specified key does not exist.","incident":"7"}'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", TokenRefused),
        (403, INVALID_TOKEN, TokenRefused),
        (403, b'{"errorCode":"Forbidden","description":"no role"}', PermissionRefused),
        (403, b"", PermissionRefused),
        (403, b"<html>", PermissionRefused),
        (404, NOT_FOUND, NotFound),
        (404, b"", NotFound),
        (404, b'{"errorCode":"NOT_FOUND","message":"Not found"}', Wait),
        (404, b"  <html>gone</html>", Malformed),
        (408, b"", Wait),
        (429, b"", Wait),
        (500, b"<html>", Wait),
        (503, b"", Wait),
        (302, b"", Wait),
        (400, b'{"errorCode":"Validation","description":"fromTime is missing"}', Refused),
        (409, b'{"errorCode":409,"description":"in session"}', Refused),
        (422, b"[" * 5000, Refused),
        (410, b"\xff", Refused),
    ],
)
def test_every_refusal_says_what_to_do_about_it(status, body, kind):
    with pytest.raises(kind) as refused:
        read(status, body)

    assert type(refused.value) is kind


def test_a_refused_token_that_stays_refused_means_a_new_login():
    assert issubclass(TokenRefused, Reauthorize)


def test_the_vendors_words_are_kept_without_addresses():
    with pytest.raises(Refused, match="fromTime is missing"):
        read(400, b'{"errorCode":"Validation","description":"fromTime is missing"}')
    with pytest.raises(Refused) as refused:
        read(409, b'{"description":"bo.lind@example.com is registered"}')
    assert "@" not in str(refused.value) and "is registered" in str(refused.value)


def test_the_stated_pause_comes_along():
    with pytest.raises(Wait) as wait:
        read(429, headers={"Retry-After": "17"})
    assert wait.value.retry_after == 17.0
    with pytest.raises(Wait) as wait:
        read(503, headers={"Retry-After": "Sun, 01 Mar 2026 09:00:09 GMT"})
    assert wait.value.retry_after == 9.0
    with pytest.raises(Wait) as wait:
        read(429)
    assert wait.value.retry_after is None


def test_a_good_answer_is_its_body():
    assert read(200, b"[]") == b"[]"
    assert read(204) == b""


# --- bodies ------------------------------------------------------------------------------------------------------


def test_a_page_keeps_its_items_as_the_bytes_they_came_in():
    body = b'{"_embedded":{"webinars":[{"webinarKey": "1" },\n null, 7]},"page":{"totalElements":3,"totalPages":1}}'

    answer = protocol.webinar_page(body)

    assert [bytes(item) for item in answer.items] == [b'{"webinarKey": "1" }', b"null", b"7"]
    assert (answer.total, answer.pages, answer.size) == (3, 1, len(body))


def test_an_absent_list_is_empty_only_if_the_page_says_so():
    assert protocol.webinar_page(page(None, total=0)).items == []
    assert protocol.webinar_page(b'{"_embedded":{"webinars":null},"page":{"totalElements":0}}').items == []
    for body in (page(None, total=2), b'{"_embedded":{},"page":{"totalElements":1}}'):
        with pytest.raises(Malformed):
            protocol.webinar_page(body)
    with pytest.raises(Malformed):
        protocol.registrant_page(b'{"total": 1}')


BROKEN = [
    b"",
    b"<html><body>Maintenance</body></html>",
    b'{"errorCode":"X"}',
    b'{"_embedded":{"webinars":[{"webinarKey":"1"}',
    b'{"_embedded":{"webinars":{}},"page":{"totalElements":0}}',
    b'{"_embedded":[],"page":{"totalElements":0}}',
    b'{"page":{"totalElements":"many"}}',
    b'{"page":{"totalElements":-1}}',
    b'{"page":{"totalElements":null}}',
    b'{"page":{"totalElements":0}} trailing',
    b'{"_embedded":{"webinars":[{"a":tru}]},"page":{"totalElements":1}}',
    b'{"_embedded":{"webinars":[{"a":"\xff"}]},"page":{"totalElements":1}}',
    b'{"_embedded":{"webinars":[' + b"[" * 100_000 + b"]" * 100_000 + b']},"page":{"totalElements":1}}',
    b"[]",
    b"null",
]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_nothing_counts_of_a_body_that_is_not_wholly_valid(body):
    with pytest.raises(Malformed):
        protocol.webinar_page(body)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[1", b"[" * 100_000, b"<p>", b'["\xff"]', b"[01]"])
def test_registrants_are_one_whole_valid_array(body):
    with pytest.raises(Malformed):
        protocol.whole_list(body, None, "registrants")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{", b"", b'{"a":"\xff"}', b'{"a":' * 50_000])
def test_a_single_record_is_one_whole_valid_object(body):
    with pytest.raises(Malformed):
        protocol.document(body)


def test_known_registrants_are_not_decoded_again():
    body = b'[{"registrantKey": 1}]'
    first = protocol.whole_list(body, None, "registrants")
    assert not first.unchanged and len(first.items) == 1

    again = protocol.whole_list(body, first.digest, "registrants")
    assert again.unchanged and again.items == [] and again.digest == first.digest
    assert not protocol.whole_list(b"[]", first.digest, "registrants").unchanged
    # Not even looked into: what is known to be the same was valid once.
    assert protocol.whole_list(b"{broken", protocol.digest_of(b"{broken"), "registrants").unchanged


def test_registrant_pages_carry_total_and_items():
    answer = protocol.registrant_page(b'{"data":[{"registrantKey":1}],"total":9,"page":0,"limit":100,"pageSize":1}')

    assert (len(answer.items), answer.total) == (1, 9)


@pytest.mark.parametrize(
    ("item", "key"),
    [
        (b'{"k": 6820277626085326123}', "6820277626085326123"),
        (b'{"k": "6820277626085326123", "x": [1]}', "6820277626085326123"),
        (b'{"k": 123456789012345678901234567890}', "123456789012345678901234567890"),
        (b'{"k": null}', None),
        (b'{"k": ""}', None),
        (b'{"k": 0}', None),
        (b'{"k": true}', None),
        (b'{"k": 6.8e18}', None),
        (b'{"k": {}}', None),
        (b"{}", None),
        (b"[]", None),
        (b"7", None),
        (b"null", None),
        (b'{"k": "\xff"}', None),
    ],
)
def test_keys_are_text_wherever_they_were_numbers(item, key):
    assert key_of(Raw(item), "k") == key


def test_both_services_tell_who_owns_the_token():
    admin = decode(WireAdminMe, b'{"key": 55, "accountKey": "77", "email": "a@example.com"}')
    assert identity_of_admin(admin).organizer_key == "55" and identity_of_admin(admin).account_key == "77"

    scim = decode(
        WireScimMe,
        b'{"id":"55","userName":"u@example.com","emails":[{"value":"x@example.com"},'
        b'{"value":"p@example.com","primary":true}],"name":{"givenName":"Ana","familyName":"Rivera"}}',
    )
    assert identity_of_scim(scim).organizer_key == "55" and identity_of_scim(scim).email == "p@example.com"
    assert "example.com" not in repr(identity_of_scim(scim)) and "Ana" not in repr(identity_of_scim(scim))
    with pytest.raises(Malformed, match="key"):
        identity_of_admin(decode(WireAdminMe, b'{"email": "a@example.com"}'))
