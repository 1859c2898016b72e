"""Lists that lie, copies that are old, records that are garbage: nothing is changed, removed or made up by them."""

from __future__ import annotations

import msgspec
import pytest

from poller.errors import Malformed, PermissionRefused
from tests.integration.scripted_goto import REGISTRANT, REGISTRANTS, WEBINARS, Item, busy, empty, without
from tests.integration.world import after, begun, known

DAY = 86_400.0


@pytest.mark.parametrize("lie", ["one missing", "empty", "half"])
@pytest.mark.parametrize("operation", [WEBINARS, REGISTRANTS])
async def test_a_list_that_leaves_something_out_removes_nothing(goto, clock, home, operation, lie):
    webinar, people = await known(goto, home, 6)
    for _ in range(4):
        goto.lie(operation, {"one missing": without(people[2], webinar), "empty": empty, "half": _half}[lie])
        await home.sweep()
        await home.sweep()
        await clock.advance(120)
    assert await after(home) == []
    assert len(await home.events()) == 7


def _half(items: list[Item]) -> list[Item]:
    return items[::2]


async def test_an_old_copy_of_a_list_changes_nothing(goto, clock, home):
    """Neither the change before the last one, nor a state nobody had seen, nor one that was gone already."""
    webinar, people = await known(goto, home, 2)
    waiting = {**goto.webinars[webinar].people[people[0]], "status": "WAITING"}
    goto.alter(webinar, people[1], firstName="Two")
    await home.sweep()
    goto.alter(webinar, people[1], firstName="Three")
    await home.sweep()
    goto.leave(webinar, people[1])
    newest = goto.register(webinar)
    await home.sweep()
    before = await home.news()
    removed = {**waiting, "registrantKey": int(people[1]), "firstName": "Two"}
    goto.lie(REGISTRANTS, lambda items: [waiting, removed], times=2)
    await home.sweep(4)
    assert await home.news() == before
    assert newest in str(before)


async def test_a_list_that_goes_back_two_changes_changes_nothing(goto, home):
    webinar, (person,) = await known(goto, home)
    first = dict(goto.webinars[webinar].people[person])
    for name in ("Two", "Three"):
        goto.alter(webinar, person, firstName=name)
        await home.sweep()
    goto.lie(REGISTRANTS, lambda items: [first])
    await home.sweep(2)
    changes = await home.events("registrant.changed")
    assert [event["data"]["firstName"] for event in changes] == ["Two", "Three"]


async def test_an_old_copy_that_is_true_again_in_part_makes_no_person_that_never_was(goto, home):
    """The list shows the last but one state. Its status is the present one by chance, its name is not."""
    webinar, (person,) = await known(goto, home)
    goto.alter(webinar, person, status="APPROVED", firstName="Two")
    await home.sweep()
    old = dict(goto.webinars[webinar].people[person])
    goto.alter(webinar, person, status="DENIED")
    await home.sweep()
    goto.alter(webinar, person, status="APPROVED", firstName="Three")
    goto.lie(REGISTRANTS, lambda items: [old])
    await home.sweep(3)
    changes = await home.events("registrant.changed")
    seen = [(event["data"]["status"], event["data"]["firstName"]) for event in changes]
    assert seen == [("APPROVED", "Two"), ("DENIED", "Two"), ("APPROVED", "Three")]


async def test_a_change_back_is_told_although_its_own_get_always_shows_more(goto, home):
    """A field that list and object show differently for good does not hide what both agree on."""
    goto.shape = lambda operation, item: {**item, "lastName": "Other"} if operation == REGISTRANT else item
    webinar, (person,) = await known(goto, home)
    for name in ("Two", "One", "Two"):
        goto.alter(webinar, person, firstName=name)
        await home.sweep(3)
    changes = await home.events("registrant.changed")
    assert [event["data"]["firstName"] for event in changes] == ["Two", "One", "Two"]


async def test_an_old_copy_of_the_webinar_list_changes_nothing(goto, home):
    webinar, _ = await known(goto, home, subject="One")
    old = dict(goto.webinars[webinar].body)
    goto.change(webinar, subject="Two")
    await home.sweep()
    goto.lie(WEBINARS, lambda items: [old], times=2)
    await home.sweep(4)
    assert await after(home) == [("webinar.changed", webinar)]


async def test_a_change_is_told_although_its_own_get_is_not_allowed(goto, home):
    webinar, (person,) = await known(goto, home)
    goto.fail(REGISTRANT, lambda: PermissionRefused("GoTo answered 403"), times=99)
    goto.alter(webinar, person, status="DENIED")
    await home.sweep()
    assert await after(home) == [("registrant.changed", person)]


async def test_many_changes_at_once_are_told_at_once(goto, home):
    """Somebody approves two hundred people; asking about each would take longer than the news is worth."""
    webinar, people = await known(goto, home, 200)
    for person in people:
        goto.alter(webinar, person, status="DENIED")
    calls = goto.count(REGISTRANT)
    await home.sweep()
    assert len(await after(home)) == 200
    assert goto.count(REGISTRANT) - calls <= 25


async def test_one_object_that_nobody_may_ask_about_holds_up_no_other(goto, home):
    webinar, people = await known(goto, home, 2)
    entry = goto.leave(webinar, people[0])
    await home.sweep()
    goto.webinars[webinar].people[people[0]] = entry
    goto.fail(REGISTRANT, lambda: Malformed("asked for one, got another"), times=99, fits=people[0])
    goto.fail(REGISTRANT, busy, times=99, fits=people[1])
    goto.alter(webinar, people[1], firstName="Ada")
    new = goto.register(webinar)
    await home.sweep()
    assert ("registrant.added", new) in await home.news()
    goto.mend()
    await home.sweep()
    assert sorted((await home.news())[-2:]) == [("registrant.added", people[0]), ("registrant.changed", people[1])]


async def test_pages_that_repeat_shrink_or_promise_too_much_change_nothing(goto, clock):
    goto.page_size = 3
    home = await begun(goto, clock, page_above=-1)
    webinar, _people = await known(goto, home, 10)
    lies = [
        lambda items: [*items[:3], *items[:3], *items[3:]],  # a page twice
        lambda items: items[:7],  # shrinks while it is read
        lambda items: [*items, *items],
        lambda items: items[::-1],
    ]
    for lie in lies:
        goto.lie(REGISTRANTS, lie, times=2)
        await home.sweep(2)
        await clock.advance(300)
    await home.sweep()
    assert await after(home) == []
    assert len(await home.events()) == 11
    new = goto.register(webinar)
    await home.sweep()
    assert (await home.news())[-1] == ("registrant.added", new)
    await home.close()


async def test_what_the_good_pages_of_a_broken_walk_show_is_told_once(goto, clock):
    goto.page_size = 2
    home = await begun(goto, clock, page_above=-1)
    webinar, people = await known(goto, home, 4)
    goto.webinars[webinar].people = {}
    new = [goto.register(webinar) for _ in range(6)]
    goto.fail(REGISTRANTS, skip=2)
    await home.look(webinar)
    assert (await home.news())[5:] == [("registrant.added", key) for key in new[:4]]
    await home.settled()
    assert sorted((await home.news())[9:]) == sorted(
        [*(("registrant.added", key) for key in new[4:]), *(("registrant.removed", key) for key in people)]
    )
    await home.close()


@pytest.mark.parametrize("poison", [{"x": float("1e300"), "y": "1e999"}, {"registrantKey": None}])
async def test_a_record_that_cannot_be_read_is_set_aside_and_its_siblings_are_told(goto, home, monkeypatch, poison):
    """A number out of range passes the page's syntax; a null key does, too."""
    webinar, _ = await known(goto, home)
    monkeypatch.setattr(
        "tests.integration.scripted_goto.encoded",
        lambda value: msgspec.json.encode(value).replace(b'"1e999"', b"1e999"),
    )
    goto.register(webinar, **poison)
    good = goto.register(webinar)
    await home.sweep(2)
    assert (await home.news())[2:] == [("registrant.added", good)]
    assert any(row.set_aside == 1 for row in await home.store.polls(9))


async def test_a_garbled_get_of_its_own_delays_a_change_and_does_not_hide_it(goto, home):
    webinar, (person,) = await known(goto, home)
    goto.alter(webinar, person, status="DENIED")
    goto.fail(REGISTRANT, lambda: Malformed("HTML with status 200"), times=99)
    await home.sweep(2)
    assert await after(home) == []
    await home.sweep(2)
    assert await after(home) == [("registrant.changed", person)]


async def test_who_is_back_is_told_as_they_are_now_although_the_list_is_an_old_copy(goto, home):
    webinar, (person,) = await known(goto, home)
    old = goto.leave(webinar, person)
    await home.sweep()
    goto.webinars[webinar].people[person] = {**old, "firstName": "Ada"}
    goto.lie(REGISTRANTS, lambda items: [old])
    await home.sweep(2)
    assert (await home.news())[-1] == ("registrant.added", person)
    assert (await home.events())[-1]["data"]["firstName"] == "Ada"


async def test_a_list_that_is_old_in_one_field_of_two_is_not_believed(goto, home):
    webinar, (person,) = await known(goto, home)
    first = dict(goto.webinars[webinar].people[person])
    goto.alter(webinar, person, firstName="Two", status="DENIED")
    await home.sweep()
    goto.alter(webinar, person, status="WAITING")
    goto.lie(REGISTRANTS, lambda items: [first])
    await home.sweep(2)
    changes = await home.events("registrant.changed")
    assert [(event["data"]["firstName"], event["data"]["status"]) for event in changes] == [
        ("Two", "DENIED"),
        ("Two", "WAITING"),
    ]


async def test_a_list_that_is_older_than_what_is_known_is_not_believed_although_the_truth_has_moved_on(goto, home):
    """Known: Three. Listed: Two. Its own GET: Four."""
    webinar, (person,) = await known(goto, home)
    for name in ("Two", "Three"):
        goto.alter(webinar, person, firstName=name)
        await home.sweep()
    old = {**goto.webinars[webinar].people[person], "firstName": "Two"}
    goto.alter(webinar, person, firstName="Four")
    goto.lie(REGISTRANTS, lambda items: [old])
    await home.sweep(2)
    changes = await home.events("registrant.changed")
    assert [event["data"]["firstName"] for event in changes] == ["Two", "Three", "Four"]


async def test_a_get_that_always_spells_a_field_in_its_own_way_hides_no_change(goto, home):
    webinar, (person,) = await known(goto, home)
    goto.shape = lambda operation, item: {**item, "timeZone": "CET"} if operation == REGISTRANT else item
    goto.alter(webinar, person, timeZone="Europe/Paris")
    await home.sweep(4)
    (event,) = await home.events("registrant.changed")
    assert event["data"]["timeZone"] == "Europe/Paris"
