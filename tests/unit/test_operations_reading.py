"""What becomes of GoTo's answers: plain values whose keys are strings, or a clear word that they are no answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from poller.errors import Malformed
from poller.goto.operations import OPERATIONS
from poller.goto.operations.reading import identity, page, result, with_text_keys

BIG = 6820277626085326123


def test_every_key_is_a_string_and_no_other_number_is() -> None:
    wire = {
        "webinarKey": BIG, "organizerkey": BIG, "meetingid": 7, "panelistId": 8, "coorganizerKeys": [BIG],
        "id": 63, "numberOfRegistrants": 2, "inSession": True, "deep": [{"sessionKey": 9}], "nothingKey": None,
    }  # fmt: skip
    assert with_text_keys(wire) == {
        "webinarKey": str(BIG), "organizerkey": str(BIG), "meetingid": "7", "panelistId": "8",
        "coorganizerKeys": [str(BIG)], "id": 63, "numberOfRegistrants": 2, "inSession": True,
        "deep": [{"sessionKey": "9"}], "nothingKey": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("getWebinar", b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}"),
        ("getWebinar", b"[]"),
        ("getPolls", b"{}"),
        ("getWebinar", b"<html>"),
        ("getWebinar", b""),
        ("getPolls", b"7"),
    ],
)
def test_an_answer_of_another_shape_is_none(name: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        result(OPERATIONS[name], body)


def test_registrants_come_as_a_list_or_as_a_page() -> None:
    operation = OPERATIONS["getAllRegistrantsForWebinar"]
    assert result(operation, b"[]") == []
    assert result(operation, b'{"data": [], "total": 0}') == {"data": [], "total": 0}


def test_what_answers_nothing_is_nothing() -> None:
    assert result(OPERATIONS["deleteRegistrant"], b"ignored") is None


def paged(name: str, body: Any) -> Any:
    paging = OPERATIONS[name].paging
    assert paging is not None
    return page(paging, msgspec.json.encode(body))


def test_a_page_without_a_list_is_empty_only_if_it_says_so() -> None:
    assert paged("getAllSessions", {"page": {"totalElements": 0}}).items == []
    assert paged("getAllSessions", {"page": {"totalElements": 0}, "_embedded": None}).items == []
    with pytest.raises(Malformed):
        paged("getAllSessions", {"page": {"totalElements": 3}})
    with pytest.raises(Malformed):
        paged("getAllRegistrantsForWebinar", {"data": []})


def test_attendances_are_told_apart_by_person_and_session() -> None:
    paging = OPERATIONS["getAttendeesForAllWebinarSessions"].paging
    assert paging is not None
    once, again = (Raw(b'{"registrantKey": 1, "sessionKey": %d}' % session) for session in (1, 2))
    assert identity(paging, once) != identity(paging, again)
    assert identity(paging, Raw(b'{"registrantKey": "1", "sessionKey": "1"}')) == identity(paging, once)
