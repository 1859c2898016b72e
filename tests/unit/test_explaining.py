"""What explain looks for, and how it calls what it finds."""

from __future__ import annotations

import pytest

from poller.explaining import _owner, _record_key
from state.records import Scope


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("webinars/4", "4"),
        ("webinars/4/registrants/5", "5"),
        ("webinars/4/sessions/7", "7"),
        ("webinars/4/sessions/7/participants/5", "5"),
        ("meetings/9", "9"),
        ("webinars/4/starts/2026-03-10T14:00:00Z", "4/2026-03-10T14:00:00Z"),
        ("meetings/9/sessions/8", "9/8"),
        ("meetings/9/instances/3/attendees/abc", "3/abc"),
        ("77", "77"),
    ],
)
def test_a_subject_leads_to_the_record_it_is_about(subject: str, key: str) -> None:
    assert _record_key(subject) == key


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope("registrant", "4"), "webinar 4"),
        (Scope("participant", "4/7"), "webinar 4, session 7"),
        (Scope("meeting_attendee", "9"), "meeting 9"),
    ],
)
def test_a_list_is_called_by_what_it_belongs_to(scope: Scope, words: str) -> None:
    assert _owner(scope) == words
