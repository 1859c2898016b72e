"""From what happened to a record to the draft of its event."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from poller import drafting
from poller.ports import Change, Facts
from state.events import event_id
from state.records import RecordRow

OBSERVED = datetime(2026, 3, 1, 9, 16, 40, 123456, tzinfo=UTC)
HAPPENED = datetime(2026, 3, 1, 10, 15, 42, tzinfo=timezone(timedelta(hours=1)))
DATA = {"organizerKey": "55", "registrantKey": "7", "status": "APPROVED"}
ROW = RecordRow("7", b"", b"{}", born=3, revision=5)


def facts(happened: datetime | None = HAPPENED, data=DATA) -> Facts:
    return Facts("webinars/4/registrants/7", "4", data, happened, happened, ("", "7"))


def test_what_came_into_being_is_dated_by_goto_if_it_says_when():
    draft = drafting.created("registrant.added", facts(), ROW, connection="acme", observed=OBSERVED)
    assert (draft.time, draft.observed) == ("2026-03-01T09:15:42Z", "2026-03-01T09:16:40.123Z")
    assert (draft.type, draft.source, draft.subject) == (
        "com.goto.registrant.added",
        "/organizers/55",
        "webinars/4/registrants/7",
    )
    assert (draft.partition, draft.connection, draft.backfill, draft.data) == ("4", "acme", False, DATA)
    undated = drafting.created("registrant.added", facts(None), ROW, connection="acme", observed=OBSERVED)
    assert undated.time == undated.observed


def test_parts_of_a_second_are_kept():
    exact = HAPPENED.replace(microsecond=250_000)
    draft = drafting.created("registrant.added", facts(exact), ROW, connection="acme", observed=OBSERVED)
    assert draft.time == "2026-03-01T09:15:42.250Z"


def test_the_id_of_a_creation_is_that_of_the_life_not_of_the_last_change():
    draft = drafting.created("registrant.added", facts(), ROW, connection="acme", observed=OBSERVED, backfill=True)
    assert draft.id == event_id("com.goto.registrant.added", "webinars/4/registrants/7", 3)
    assert draft.backfill
    change = Change(["status"], {"status": "WAITING"})
    changed = drafting.changed("registrant.changed", facts(), ROW, change, connection="acme", observed=OBSERVED)
    assert changed.id == event_id("com.goto.registrant.changed", "webinars/4/registrants/7", 5)
    assert changed.data == {**DATA, "changed": ["status"], "previous": {"status": "WAITING"}}
    removed = drafting.removed("registrant.removed", facts(), ROW, connection="acme", observed=OBSERVED)
    assert removed.id == event_id("com.goto.registrant.removed", "webinars/4/registrants/7", 5)
    assert removed.data == DATA
    assert changed.time == removed.time == "2026-03-01T09:16:40.123Z"


def test_an_event_about_the_engine_can_happen_again():
    about = {"connection": "acme"}
    one, two = (
        drafting.operational("poller.connection.recovered", "connections/acme", connection="acme", at=at, data=about)
        for at in (OBSERVED, OBSERVED + timedelta(milliseconds=1))
    )
    assert one.id != two.id
    assert (one.type, one.source, one.partition) == ("poller.connection.recovered", "/poller", "connections/acme")


def test_an_organizer_nobody_knows_leaves_no_none_in_the_source():
    draft = drafting.created("webinar.created", facts(data={}), ROW, connection="acme", observed=OBSERVED)
    assert draft.source == "/organizers/"
