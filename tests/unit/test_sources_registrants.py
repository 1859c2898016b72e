"""Registrants: one call or pages, records left undecoded, and only what means something is a difference."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.errors import Malformed, Wait
from poller.goto import Priority
from poller.sources import RegistrantSource
from poller.sources.registrants import MEANINGFUL
from poller.sources.shapes import parse_time, priority_of, zulu
from poller.testing import START, FakeClock
from state.records import Phase, Scope, Target
from tests.integration.scripted_goto import REGISTRANTS, Goto

UNUSED = {"since": START - timedelta(days=1), "until": START}


@pytest.fixture
def goto() -> Goto:
    return Goto(FakeClock())


def source(goto: Goto, page_above: int = 20_000) -> RegistrantSource:
    return RegistrantSource(goto.client("1"), page_above=page_above)  # type: ignore[arg-type]


def target(webinar: str = "4", **fields) -> Target:
    return Target("acme", Scope("registrant", webinar), organizer_key="1", title="Intro", **fields)


def person(**fields) -> bytes:
    return msgspec.json.encode({"registrantKey": 7, "status": "APPROVED", "email": "bo@example.com", **fields})


# ── walking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_costs_one_call_however_long_until_it_is_known_to_be_huge(goto):
    webinar = goto.webinar()
    keys = [goto.register(webinar) for _ in range(450)]
    walk = await source(goto, page_above=400).walk(target(webinar), **UNUSED)
    assert [record.key for record in walk.records] == keys
    assert (walk.calls, goto.count(REGISTRANTS, webinar)) == (1, 1)
    paged = await source(goto, page_above=400).walk(target(webinar, size=450), **UNUSED)
    assert [record.key for record in paged.records] == keys
    assert (paged.calls, paged.complete) == (3, True)
    assert [record.fingerprint for record in paged.records] == [record.fingerprint for record in walk.records]


@pytest.mark.parametrize("size", [0, 99])
async def test_the_same_bytes_are_not_read_again(goto, size):
    webinar = goto.webinar()
    goto.register(webinar)
    reader = source(goto, page_above=50)
    first = await reader.walk(target(webinar, size=size), **UNUSED)
    assert (await reader.walk(target(webinar, size=size, digest=first.digest), **UNUSED)).unchanged
    goto.register(webinar)
    again = await reader.walk(target(webinar, size=size, digest=first.digest), **UNUSED)
    assert (again.unchanged, len(again.records)) == (False, 2)


@pytest.mark.parametrize("size", [0, 99])
async def test_a_record_without_a_key_is_set_aside(goto, size):
    webinar = goto.webinar()
    good = goto.register(webinar)
    goto.register(webinar, key="1", registrantKey=None)
    walk = await source(goto, page_above=50).walk(target(webinar, size=size), **UNUSED)
    assert [record.key for record in walk.records] == [good]
    assert (walk.complete, walk.read_through, walk.set_aside) == (False, True, 1)


async def test_a_walk_that_breaks_off_keeps_its_good_pages(goto):
    goto.page_size = 2
    webinar = goto.webinar()
    keys = [goto.register(webinar) for _ in range(5)]
    goto.fail(REGISTRANTS, skip=2)
    walk = await source(goto, page_above=0).walk(target(webinar, size=5), **UNUSED)
    assert [record.key for record in walk.records] == keys[:4]
    assert (walk.complete, walk.read_through, type(walk.problem)) == (False, False, Wait)


async def test_confirming_tells_gone_from_there_and_from_another(goto):
    webinar = goto.webinar()
    key = goto.register(webinar)
    reader = source(goto)
    assert await reader.confirm(target(webinar), "404") is None
    shown = await reader.confirm(target(webinar), key)
    assert shown is not None
    (listed,) = (await reader.walk(target(webinar), **UNUSED)).records
    assert reader.compare(listed.body, shown, START) is None
    assert "organization" not in msgspec.json.decode(reader.merge(listed.body, shown, START))
    goto.shape = lambda operation, item: {**item, "registrantKey": 5}
    with pytest.raises(Malformed):
        await reader.confirm(target(webinar), key)


# ── differences and facts ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", MEANINGFUL)
def test_each_meaningful_field_is_a_difference(goto, name):
    found = source(goto).compare(person(**{name: "ONE"}), person(**{name: "TWO"}), START)
    assert found is not None
    assert (found.changed, found.previous) == ([name], {name: "ONE"})
    assert source(goto).compare(person(**{name: ""}), person(**{name: None}), START) is None


def test_the_registrations_date_and_unknown_fields_mean_nothing(goto):
    one = person(registrationDate="2026-03-01T09:15:42Z", source="mail")
    other = person(registrationDate="2026-03-01T09:15:42.837Z", source="web", status="approved")
    assert source(goto).compare(one, other, START) is None


def test_the_webinars_own_words_win_over_fields_of_the_same_name(goto):
    facts = source(goto).facts(target(), person(webinarKey=None, organizerKey=99, webinarSubject="forged"))
    assert facts.subject == "webinars/4/registrants/7"
    assert [facts.data[name] for name in ("organizerKey", "webinarKey", "webinarSubject")] == ["1", "4", "Intro"]
    assert facts.data["registrantKey"] == "7"


@pytest.mark.parametrize("value", ["1e999", "[" * 900 + "]" * 900])
def test_a_record_that_nobody_could_pass_on_is_malformed(goto, value):
    """Both pass the syntax of a page whose records are left undecoded."""
    poisoned = b'{"registrantKey": 7, "email": "bo@example.com", "x": %s}' % value.encode()
    with pytest.raises(Malformed):
        source(goto).facts(target(), poisoned)
    with pytest.raises(Malformed):
        source(goto).compare(person(), poisoned, START)
    with pytest.raises(Malformed):
        source(goto).facts(target(), source(goto).keep(person(timeZone="UTC"), poisoned))


@pytest.mark.parametrize(
    ("body", "email"),
    [(person(), "bo@example.com"), (person(email=None), ""), (b'{"registrantKey":7}', ""), (b'{"email":1e999}', "")],
)
def test_the_person_of_a_record_is_found_without_the_rest(goto, body, email):
    assert source(goto).person(body) == email


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*MEANINGFUL, "registrationDate", "responses", "otherKey"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_whatever_the_fields_hold_a_registrant_is_equal_to_itself_and_can_be_told(fields):
    reader = RegistrantSource(None, page_above=0)  # type: ignore[arg-type]
    one = msgspec.json.encode({**fields, "registrantKey": 7})
    assert reader.compare(one, one, START) is None
    facts = reader.facts(target(), one)
    assert facts.subject == "webinars/4/registrants/7"
    assert isinstance(facts.person, str)
    assert reader.compare(one, reader.merge(one, one, START), START) is None
    assert reader.compare(one, reader.keep(one, b'{"registrantKey":7}'), START) is None


# ── times and priorities ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-01T09:15:42Z", "2026-03-01T09:15:42Z"),
        ("2026-03-01T10:15:42+01:00", "2026-03-01T09:15:42Z"),
        ("2026-03-01T09:15:42.837Z", "2026-03-01T09:15:42.837Z"),
        ("2026-03-01T09:15:42.000Z", "2026-03-01T09:15:42Z"),
        ("2026-03-01T09:15:42", "2026-03-01T09:15:42Z"),
        ("yesterday", "yesterday"),
        ("", ""),
        (None, None),
        (5, 5),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_times_have_one_spelling_and_what_is_no_time_stays(text, same):
    assert zulu(text) == same


def test_a_time_without_a_zone_is_utc():
    assert parse_time("2026-03-01T09:00:00") == START


def test_what_was_there_before_may_wait_for_what_is_new():
    assert [priority_of(target(phase=phase)) for phase in Phase] == [
        Priority.BASELINE,
        Priority.BASELINE,
        Priority.LIVE,
        Priority.LIVE,
    ]


# ── long lists ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def long_list(goto: Goto) -> tuple[RegistrantSource, str, Target]:
    """450 people, read once."""
    webinar = goto.webinar()
    for _ in range(450):
        goto.register(webinar)
    reader = source(goto, page_above=400)
    walk = await reader.walk(target(webinar, size=450), **UNUSED)
    return reader, webinar, target(webinar, size=450, digest=walk.digest)


async def test_of_a_long_list_that_stays_as_it_is_only_one_page_is_read(goto):
    reader, webinar, known = await long_list(goto)
    before = goto.count(REGISTRANTS, webinar)
    walk = await reader.walk(known, **UNUSED)
    assert walk.unchanged and walk.digest == known.digest
    assert goto.count(REGISTRANTS, webinar) == before + 1


async def test_a_long_list_that_grew_is_read_to_its_end(goto):
    reader, webinar, known = await long_list(goto)
    new = goto.register(webinar)
    walk = await reader.walk(known, **UNUSED)
    assert not walk.unchanged and walk.complete and walk.records[-1].key == new


async def test_what_the_first_page_and_the_total_do_not_show_is_found_by_the_tenth_look(goto):
    reader, webinar, known = await long_list(goto)
    last = list(goto.webinars[webinar].people)[-1]
    goto.alter(webinar, last, status="DENIED")
    looks = [await reader.walk(known, **UNUSED) for _ in range(10)]
    assert [walk.unchanged for walk in looks] == [True] * 9 + [False]


async def test_a_list_with_open_questions_is_read_to_its_end(goto):
    reader, webinar, _ = await long_list(goto)
    walk = await reader.walk(target(webinar, size=450), **UNUSED)
    assert not walk.unchanged and len(walk.records) == 450
