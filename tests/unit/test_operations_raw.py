"""Raw requests: a path and never a host, one body, and repeated only where that is safe."""

from __future__ import annotations

from typing import Any

import pytest

from poller.errors import UsageError
from poller.goto.operations.raw import File, Raw, Retry, changes, request, worth_repeating

API, ROOM = "https://api.example.com", "https://room.example.com"


def made(method: str = "GET", path: str = "/x", **more: Any) -> Any:
    return request(Raw(method, path, **more), api_url=API, room_url=ROOM)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/x", "//evil.example/x", "http:evil", "x", "", "@evil.example/", "/..//x", "/a/%2e%2e/b",
        "/a\\b", "/a#b", "/a\r\nHost: evil", "/redirect/https://evil.example",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        made(path=path)


@pytest.mark.parametrize("path", ["/a@evil.example/x", "/a:80/x", "/G2W/rest v2/ä", "/x?next=https://evil.example"])
def test_whatever_a_path_holds_it_stays_on_gotos_host(path: str) -> None:
    assert str(made(path=path).url.origin()) == API


def test_meeting_rooms_have_a_host_of_their_own() -> None:
    assert str(made(path="/meeting-room/v1/profiles").url.origin()) == ROOM


def test_query_parameters_join_those_in_the_path() -> None:
    url = made(path="/x?a=1%202", query=[("b", "c d"), ("b", "+")]).url
    assert url.raw_query_string == "a=1%202&b=c%20d&b=%2B"


@pytest.mark.parametrize("name", ["Authorization", "host", "Content-Length", "Cookie", "a b", ""])
def test_headers_that_are_not_the_callers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="header"):
        made(headers=[(name, "x")])


def test_a_header_cannot_bring_another_one_along() -> None:
    with pytest.raises(UsageError, match="header"):
        made(headers=[("X-A", "1\r\nAuthorization: Bearer x")])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "GE T", ""])
def test_only_methods_that_goto_knows(method: str) -> None:
    with pytest.raises(UsageError, match="method"):
        made(method)


def test_a_body_says_what_it_is_unless_the_caller_does() -> None:
    assert made("POST", body='{"a": 1}').headers["Content-Type"] == "application/json"
    assert made("POST", body="plain").headers["Content-Type"].startswith("text/plain")
    assert made("POST", body="{}", headers=[("content-type", "a/b")]).headers == {"content-type": "a/b"}
    assert made().headers == {} and made().body is None


def test_a_form_is_encoded_and_excludes_another_body() -> None:
    form = made("POST", form=[("a", "1 2"), ("b", "ä")])
    assert form.body == b"a=1+2&b=%C3%A4"
    with pytest.raises(UsageError, match="one body"):
        made("POST", form=[("a", "1")], body="x")


def test_files_travel_in_a_multipart_form() -> None:
    sent = made("POST", form=[("a", "1")], files=[File("photo", 'a"b.png', b"\x89PNG")])
    kind, _, boundary = sent.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    parts = sent.body.split(b"--" + boundary.encode())
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    assert b'name="photo"; filename="a%22b.png"' in parts[2] and parts[2].endswith(b"\r\n\r\n\x89PNG\r\n")
    assert parts[3] == b"--\r\n"


def test_the_limits_count_a_raw_request_as_the_operation_it_amounts_to() -> None:
    assert made(path="/G2W/rest/v2/organizers/1/webinars/2").operation == "getWebinar"
    assert made("DELETE", "/G2M/rest/org%61nizers/1/sessions/2").operation == "deleteMeetingSession"
    assert made(path="/G2M/rest/organizers/bo@example.com").operation == "raw GET", "labels name nobody"


def test_what_changes_something_is_told_from_what_reads() -> None:
    assert changes(made("POST", "/unknown")) and changes(made("DELETE", "/unknown"))
    assert not changes(made("GET", "/unknown"))
    assert not changes(made("POST", "/G2W/rest/v2/recordingassets/search"))


@pytest.mark.parametrize(
    ("method", "status", "sent", "expected"),
    [
        ("GET", 500, True, True), ("GET", None, True, True), ("PUT", 503, True, True), ("DELETE", 408, True, True),
        ("POST", 500, True, False), ("POST", None, True, False), ("PATCH", 503, True, False),
        ("POST", 429, True, True), ("POST", None, False, True),
        ("GET", 404, True, False), ("GET", 400, True, False), ("GET", 302, True, False),
    ],
)  # fmt: skip
def test_only_what_cannot_happen_twice_is_repeated(method: str, status: int | None, sent: bool, expected: bool) -> None:
    assert worth_repeating(Retry(3), method, status, sent=sent) is expected
    assert worth_repeating(Retry(3, everything=True), method, status, sent=sent)
