"""Webinars: the list's and the by-key shape are one form, and only what means something is a difference."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poller.errors import Malformed, Wait
from poller.roster import WEBINARS as SCOPE
from poller.sources import WebinarSource
from poller.sources.webinars import MEANINGFUL, ends, normal_webinar
from poller.testing import START, FakeClock
from state.records import Scope, Target
from tests.integration.scripted_goto import WEBINAR, WEBINARS, Goto, zulu

SINCE, UNTIL = START - timedelta(days=1), START + timedelta(days=730)


@pytest.fixture
def goto() -> Goto:
    return Goto(FakeClock())


def source(goto: Goto, **how) -> WebinarSource:
    return WebinarSource(goto.client(how.pop("who", "1")), organizer_key="1", **how)  # type: ignore[arg-type]


async def walked(goto: Goto, target: Target | None = None, **how):
    return await source(goto, **how).walk(target or Target("acme", SCOPE), since=SINCE, until=UNTIL)


def body(**fields) -> bytes:
    times = [{"startTime": "2026-03-13T10:00:00Z", "endTime": "2026-03-13T11:00:00Z"}]
    item = {"webinarKey": "7", "subject": "Intro", "times": times, **fields}
    return msgspec.json.encode(normal_webinar(item))


# ── walking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_pages_make_one_complete_walk(goto):
    goto.page_size = 2
    keys = [goto.webinar() for _ in range(5)]
    walk = await walked(goto)
    assert [record.key for record in walk.records] == keys
    assert (walk.complete, walk.read_through, walk.calls, walk.set_aside) == (True, True, 3, 0)


async def test_the_same_bytes_are_not_read_again(goto):
    goto.webinar()
    first = await walked(goto)
    again = await walked(goto, Target("acme", SCOPE, digest=first.digest))
    assert again.unchanged
    assert again.records == ()
    goto.webinar()
    assert not (await walked(goto, Target("acme", SCOPE, digest=first.digest))).unchanged


async def test_the_same_bytes_say_something_new_once_other_organizers_are_let_in(goto):
    goto.webinar(organizers="5")
    goto.webinar(organizers="6")
    first = await walked(goto, account_key="77", admits=lambda key: key == "5")
    assert len(first.records) == 1
    target = Target("acme", SCOPE, digest=first.digest)
    assert (await walked(goto, target, account_key="77", admits=lambda key: key == "5")).unchanged
    assert len((await walked(goto, target, account_key="77")).records) == 2


async def test_a_walk_that_breaks_off_keeps_its_good_pages_and_says_why(goto):
    goto.page_size = 2
    keys = [goto.webinar() for _ in range(5)]
    goto.fail(WEBINARS, skip=1)
    walk = await walked(goto)
    assert [record.key for record in walk.records] == keys[:2]
    assert (walk.complete, walk.read_through) == (False, False)
    assert isinstance(walk.problem, Wait)


async def test_a_walk_without_one_good_page_raises(goto):
    goto.fail(WEBINARS)
    with pytest.raises(Wait):
        await walked(goto)


async def test_a_record_without_a_key_is_set_aside(goto):
    good, bad = goto.webinar(), goto.webinar()
    goto.change(bad, webinarKey=None)
    walk = await walked(goto)
    assert [record.key for record in walk.records] == [good]
    assert (walk.complete, walk.read_through, walk.set_aside) == (False, True, 1)


async def test_confirming_tells_gone_from_there_and_from_another(goto):
    key = goto.webinar()
    reader, target = source(goto), Target("acme", Scope("registrant", key), organizer_key="1")
    assert await reader.confirm(target, "404") is None
    shown = await reader.confirm(target, key)
    assert shown is not None
    assert msgspec.json.decode(shown)["webinarKey"] == key
    goto.shape = lambda operation, item: {**item, "webinarKey": 5} if operation == WEBINAR else item
    with pytest.raises(Malformed):
        await reader.confirm(target, key)


# ── one form ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_two_shapes_of_one_webinar_do_not_differ(goto):
    key = goto.webinar(description="", recurrenceType="series", experienceType="BROADCAST")
    reader = source(goto)
    (listed,) = (await walked(goto)).records
    shown = await reader.confirm(Target("acme", SCOPE, organizer_key="1"), key)
    assert shown is not None
    for one, other in ((listed.body, shown), (shown, listed.body)):
        assert reader.compare(one, other, START) is None
        assert reader.compare(one, reader.merge(one, other, START), START) is None


def test_one_spelling_of_everything_that_has_several():
    one = normal_webinar({"webinarKey": 5, "webinarId": 123456789, "type": "SERIES", "recurrencePeriod": "weekly"})
    assert one == {"webinarKey": "5", "webinarID": "123456789", "recurrenceType": "series"}
    other = normal_webinar({"webinarKey": "5", "webinarID": "123456789", "recurrenceType": "series"})
    assert other == one


def test_secrets_go_and_keys_become_text_at_any_depth():
    item = {"hostURL": "s", "startUrl": "s", "panel": [{"memberKey": 1, "startURL": "s", "count": 1, "ok": True}]}
    assert normal_webinar(item) == {"panel": [{"memberKey": "1", "count": 1, "ok": True}]}


def test_times_are_sorted_and_in_utc_and_unreadable_ones_go():
    times = [{"startTime": "2026-03-02T01:00:00+02:00", "endTime": None}, {"startTime": 5}, "x", {"endTime": "y"}]
    times.append({"startTime": "2026-03-01T10:00:00.500Z", "endTime": "2026-03-01T11:00:00.000Z"})
    assert normal_webinar({"times": times})["times"] == [
        {"startTime": "2026-03-01T10:00:00.500Z", "endTime": "2026-03-01T11:00:00Z"},
        {"startTime": "2026-03-01T23:00:00Z", "endTime": None},
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from([*MEANINGFUL, "times", "type", "webinarId", "organizerKey", "newKey", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_whatever_the_fields_hold_a_webinar_is_equal_to_itself_and_can_be_told(fields):
    """Wrong types everywhere: no crash, no difference, and the normal form is its own normal form."""
    reader = WebinarSource(None, organizer_key="1")  # type: ignore[arg-type]
    one = msgspec.json.encode(normal_webinar({**fields, "webinarKey": "7"}))
    again = msgspec.json.encode(normal_webinar(msgspec.json.decode(one)))
    assert again == one
    assert reader.compare(one, one, START) is None
    facts = reader.facts(Target("acme", SCOPE), one)
    assert (facts.subject, facts.partition) == ("webinars/7", "7")
    assert isinstance(facts.title, str)
    merged = reader.merge(one, one, START)
    assert reader.compare(one, merged, START) is None
    assert reader.compare(one, reader.keep(one, b'{"webinarKey":"7"}'), START) is None


# ── differences ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", MEANINGFUL)
def test_each_meaningful_field_is_a_difference(goto, name):
    before, after = body(**{name: "one"}), body(**{name: "two"})
    found = source(goto).compare(before, after, START)
    assert found is not None
    assert (found.changed, found.previous) == ([name], {name: "one"})


@pytest.mark.parametrize("name", MEANINGFUL)
@pytest.mark.parametrize(("one", "other"), [(None, ""), ("", None), (None, False)])
def test_null_and_nothing_are_the_same(goto, name, one, other):
    assert source(goto).compare(body(**{name: one}), body(**{name: other}), START) is None


def test_times_differ_by_what_comes_moves_or_is_called_off_not_by_what_passes(goto):
    reader = source(goto)
    spans = [
        {"startTime": zulu(START + timedelta(hours=h)), "endTime": zulu(START + timedelta(hours=h + 1))}
        for h in (-5, 2, 8)
    ]
    later = {"startTime": spans[2]["startTime"], "endTime": zulu(START + timedelta(hours=10))}

    def differ(before, after) -> bool:
        return reader.compare(body(times=before), body(times=after), START) is not None

    assert not differ(spans, spans[1:])  # the past one went
    assert not differ(spans, [])  # a shape without times
    assert not differ([], spans)
    assert differ(spans, spans[:2])  # one ahead was called off
    assert differ(spans[:2], spans)  # one more
    assert differ(spans, [*spans[:2], later])  # longer


def test_merging_keeps_what_only_lists_have_and_times_that_are_over(goto):
    past, ahead, new = goto.span(-1), goto.span(1), goto.span(2)
    old = body(times=[past, ahead], approvalType="MANUAL", subject="A")
    shown = body(times=[new], subject="B", registrationLimit=5)
    merged = msgspec.json.decode(source(goto).merge(old, shown, START))
    assert merged["times"] == [past, new]
    assert (merged["approvalType"], merged["subject"], merged["registrationLimit"]) == ("MANUAL", "B", 5)


def test_a_field_that_one_list_lacks_is_kept(goto):
    reader = source(goto)
    kept = msgspec.json.decode(reader.keep(body(timeZone="UTC", marker=1), b'{"webinarKey":"7","subject":"Intro"}'))
    assert (kept["timeZone"], "marker" in kept, len(kept["times"])) == ("UTC", False, 1)


def test_a_time_without_an_end_is_over_when_it_begins():
    assert ends({}) == ends({"times": [{"startTime": "nonsense"}]}) == []
    times = [{"startTime": "2026-03-13T10:00:00Z"}, {"startTime": "2026-03-12T10:00:00Z", "endTime": None}]
    assert [zulu(end) for end in ends({"times": times})] == ["2026-03-13T10:00:00Z", "2026-03-12T10:00:00Z"]


def test_facts_name_the_organizer_of_the_connection_or_the_accounts(goto):
    one = body(organizerKey="5")
    assert source(goto).facts(Target("acme", SCOPE), one).organizer_key == "1"
    assert source(goto, account_key="77").facts(Target("acme", SCOPE), one).organizer_key == "5"
    assert msgspec.json.decode(body())["times"]
    assert source(goto).facts(Target("acme", SCOPE), b'{"webinarKey":"7"}').data["times"] == []
