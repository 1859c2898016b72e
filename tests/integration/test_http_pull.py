"""Polling triggers over HTTP: /v1/triggers, …/poll, …/items and single events, clause by clause."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from poller.settings import Settings
from poller.testing.events import draft
from state.events import Draft
from tests.integration.http_house import House, Reply, http_house

POLL = "/v1/triggers/all/poll"
ITEMS = "/v1/triggers/all/items"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with http_house(tmp_path) as made:
        yield made


def webinar(number: int, **fields: Any) -> Draft:
    made = draft(number, webinar=f"{number}", webinarKey=f"{number}", **fields)
    return replace(made, type="com.goto.webinar.created", subject=f"webinars/{number}")


async def drained(house: House, reply: Reply) -> tuple[list[str], Reply]:
    """Follow the Location while more waits, as Logic Apps does."""
    ids: list[str] = []
    while True:
        reply = await house.get(reply.headers["Location"])
        ids += reply.ids
        if reply.headers["Retry-After"] != "0":
            return ids, reply


# ── Power Automate, Logic Apps ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_call_has_no_history_and_the_next_ones_what_came_since(house: House) -> None:
    await house.people(3)
    first = await house.get(POLL)
    assert (first.status, first.text) == (202, "")
    assert first.headers["Content-Type"] == "application/json"

    nothing = await house.get(first.headers["Location"])
    assert (nothing.status, nothing.text) == (202, "")

    ids = await house.people(2, first=4)
    something = await house.get(nothing.headers["Location"])
    assert something.status == 200 and something.ids == ids
    assert list(something.json) == ["value"]
    assert (await house.get(something.headers["Location"])).status == 202
    assert (await house.get(nothing.headers["Location"])).ids == ids, "a lost answer can be asked for again"


async def test_an_item_tells_everything_by_itself(house: House) -> None:
    first = await house.get(POLL)
    await house.people(1, email="zoe@example.com")
    [item] = (await house.get(first.headers["Location"])).json["value"]
    assert item["id"] == house.told[0]
    assert item["sequence"] == f"{1:020d}"
    assert item["eventType"] == "registrant.added"
    assert item["eventTime"] == "2026-03-01T09:15:42Z"
    assert item["organizerKey"] == "5511973216410820613"
    assert (item["email"], item["webinarKey"]) == ("zoe@example.com", "4255157664015486220")


async def test_more_waits_means_come_back_at_once_and_nothing_is_left_out(house: House) -> None:
    first = await house.get(f"{POLL}?limit=3")
    ids = await house.people(7)
    pages, reply = [], first
    for _ in range(3):
        reply = await house.get(reply.headers["Location"])
        pages.append((len(reply.ids), reply.headers["Retry-After"] == "0"))
    assert pages == [(3, True), (3, True), (1, False)]
    assert (await drained(house, first))[0] == ids
    assert int(reply.headers["Retry-After"]) >= 1


async def test_the_location_is_absolute_keeps_the_callers_parameters_and_no_secret(tmp_path: Path) -> None:
    http = {"public_url": "https://goto.example.com/poller/", "api_keys": ["k"]}
    async with http_house(tmp_path, http=http) as house:
        path = f"{POLL}?webinarKey=77&organizerKey=5&limit=9&my%20own=a%26b&api-key=k&code=k&X-API-Key=k"
        reply = await house.get(path, headers={"X-API-Key": "k"})
    url = urlsplit(reply.headers["Location"])
    assert (url.scheme, url.netloc, url.path) == ("https", "goto.example.com", f"/poller{POLL}")
    query = dict(parse_qsl(url.query))
    assert query.pop("triggerState") == reply.cursor
    assert query == {"webinarKey": "77", "organizerKey": "5", "limit": "9", "my own": "a&b"}


async def test_without_a_public_url_the_location_is_where_it_listens_whatever_name_was_asked(house: House) -> None:
    reply = await house.get(POLL, headers={"Host": "localhost:1"})
    assert reply.headers["Location"].startswith(f"{house.surface.url}{POLL}?triggerState=")


async def test_retry_after_is_the_time_to_the_next_poll_of_goto(house: House) -> None:
    """Nothing is polled here: then it is the interval of the settings."""
    assert (await house.get(POLL)).headers["Retry-After"] == "120"


async def test_keys_narrow_what_is_told(house: House) -> None:
    first = {
        "webinarKey=77": await house.get(f"{POLL}?webinarKey=77"),
        "organizerKey=5": await house.get(f"{POLL}?organizerKey=5"),
        "both": await house.get(f"{POLL}?organizerKey=5&webinarKey=77"),
        "empty": await house.get(f"{POLL}?organizerKey=&webinarKey="),
    }
    a, b, c = await house.tell(
        draft(1, webinar="77", webinarKey="77"),
        draft(2, webinar="78", webinarKey="78", organizerKey="5"),
        draft(3, webinar="77", webinarKey="77", organizerKey="5"),
    )
    found = {name: (await drained(house, reply))[0] for name, reply in first.items()}
    assert found == {"webinarKey=77": [a, c], "organizerKey=5": [b, c], "both": [c], "empty": [a, b, c]}


async def test_built_in_triggers_are_there_for_whoever_connects(house: House) -> None:
    new_webinar = await house.get("/v1/triggers/OnNewWebinar/poll")
    new_person = await house.get("/v1/triggers/OnNewRegistration/poll")
    changed = replace(draft(9), type="com.goto.registrant.changed")
    a, _, c = await house.tell(webinar(1), changed, draft(2))
    assert (await drained(house, new_webinar))[0] == [a]
    assert (await drained(house, new_person))[0] == [c]


async def test_a_reader_that_little_concerns_moves_on_with_the_log(house: House) -> None:
    """Or every one of its polls would read all that does not concern it again."""
    reply = await house.get("/v1/triggers/OnNewWebinar/poll")
    await house.people(300)
    reply = await house.get(reply.headers["Location"])
    assert reply.status == 202 and reply.cursor.endswith("-300")
    [told] = await house.tell(webinar(1))
    assert (await house.get(reply.headers["Location"])).ids == [told]


# ── triggers as they are now ─────────────────────────────────────────────────────────────────────────────────────────

APPROVED = {"name": "approved", "on": ["registrant.*"], "when": "data.status == 'APPROVED'"}
INTRO = {"name": "intro", "webinars": ["Intro*"], "connections": ["beta"]}


async def test_a_trigger_of_the_settings_chooses_as_it_does_for_sinks(tmp_path: Path) -> None:
    async with http_house(tmp_path, triggers=[APPROVED]) as house:
        reply = await house.get("/v1/triggers/approved/poll")
        a, _ = await house.tell(draft(1, status="APPROVED"), draft(2, status="WAITING"))
        assert (await drained(house, reply))[0] == [a]
        assert (await house.get(POLL)).status == 404, "without `all` in the settings there is no such trigger"


async def test_a_reload_counts_from_the_readers_place_on(tmp_path: Path) -> None:
    async with http_house(tmp_path, triggers=[APPROVED]) as house:
        reply = await house.get("/v1/triggers/approved/poll")
        _, b = await house.tell(draft(1, status="APPROVED"), draft(2, status="WAITING"))
        settings = house.app.settings
        waiting = {**APPROVED, "when": "data.status == 'WAITING'"}
        engine = {"state": str(settings.engine.state)}
        http = {"listen": settings.http.listen}
        await house.app.reload(Settings.parse({"engine": engine, "http": http, "triggers": [waiting]}, tmp_path))
        assert (await drained(house, reply))[0] == [b]


async def test_titles_and_connections_count_as_they_do_at_the_commit(tmp_path: Path) -> None:
    async with http_house(tmp_path, triggers=[INTRO], **GOTO) as house:
        reply = await house.get("/v1/triggers/intro/poll")
        told = [
            replace(draft(1, webinarSubject="Intro 1"), connection="beta"),
            replace(draft(2, webinarSubject="Intro 2"), connection="acme"),
            replace(draft(3, webinarSubject="Outro"), connection="beta"),
        ]
        first, *_ = await house.tell(*told)
        assert (await drained(house, reply))[0] == [first]


GOTO: dict[str, Any] = {
    "goto": {"client_id": "c", "client_secret": "s"},
    "connections": [{"name": "acme"}, {"name": "beta"}],
}


async def test_what_comes_while_a_trigger_is_paused_comes_when_it_is_resumed(house: House) -> None:
    reply = await house.get(POLL)
    await house.app.switches.pause("trigger", "all")
    ids = await house.people(2)
    held = await house.get(reply.headers["Location"])
    assert held.status == 202 and held.cursor == reply.cursor
    assert (await house.get(ITEMS)).json == []
    await house.app.switches.resume("trigger", "all")
    assert (await drained(house, held))[0] == ids


# ── Zapier, n8n, Make ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_items_are_a_bare_array_the_newest_first(house: House) -> None:
    assert (await house.get(ITEMS)).json == []
    ids = await house.people(60)
    assert (await house.get(ITEMS)).ids == ids[:9:-1]
    assert (await house.get(f"{ITEMS}?limit=2")).ids == [ids[59], ids[58]]
    assert (await house.get("/v1/triggers/OnNewWebinar/items")).json == []


async def test_behind_a_cursor_come_the_oldest_so_that_none_is_skipped(house: House) -> None:
    cursor = (await house.get(ITEMS)).cursor
    ids = await house.people(5)
    first = await house.get(f"{ITEMS}?after={cursor}&limit=3")
    assert first.ids == ids[2::-1], "newest first, of the oldest three"
    second = await house.get(f"{ITEMS}?after={first.cursor}&limit=3")
    assert second.ids == ids[:2:-1]
    assert (await house.get(f"{ITEMS}?after={second.cursor}")).json == []


async def test_an_envelope_has_the_cursor_in_the_body(house: House) -> None:
    ids = await house.people(2)
    reply = await house.get(f"{ITEMS}?envelope=1")
    assert set(reply.json) == {"value", "cursor"} and reply.ids == ids[::-1]
    more = await house.people(1, first=3)
    again = await house.get(f"{ITEMS}?envelope=true&after={reply.json['cursor']}")
    assert again.ids == more
    assert (await house.get(f"{ITEMS}?envelope=0")).ids == [*more, *ids[::-1]]


async def test_items_and_polls_tell_the_same_items(house: House) -> None:
    reply = await house.get(POLL)
    await house.people(1)
    assert (await house.get(reply.headers["Location"])).json["value"] == (await house.get(ITEMS)).json


# ── the catalogue, single events ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_catalogue_names_every_trigger_with_what_is_needed_to_use_it(tmp_path: Path) -> None:
    async with http_house(tmp_path, triggers=[APPROVED]) as house:
        entries = {entry["name"]: entry for entry in (await house.get("/v1/triggers")).json}
    assert set(entries) == {"approved", "OnNewWebinar", "OnNewRegistration"}
    assert entries["OnNewWebinar"]["eventTypes"] == ["webinar.created"]
    assert set(entries["approved"]["eventTypes"]) == {"registrant.added", "registrant.changed", "registrant.removed"}
    for entry in entries.values():
        assert {"webinarKey", "limit"} <= {parameter["name"] for parameter in entry["parameters"]}
        assert entry["schema"]["$schema"].startswith("https://json-schema.org/")
        assert entry["sample"]["eventType"] in entry["eventTypes"]


async def test_an_event_is_found_by_its_id(house: House) -> None:
    _, second = await house.people(2)
    reply = await house.get(f"/v1/events/{second}")
    assert reply.headers["Content-Type"].startswith("application/cloudevents+json")
    assert reply.json["id"] == second and reply.json["sequence"] == f"{2:020d}"


# ── places in the log ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_places_outlive_a_restart(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        poll, items = await house.get(POLL), await house.get(f"{ITEMS}?envelope=1")
        ids = await house.people(2)
    async with http_house(tmp_path) as house:
        again = await house.get(f"{POLL}?triggerState={poll.cursor}")
        assert again.ids == ids and not again.is_gap
        assert (await house.get(f"{ITEMS}?after={items.json['cursor']}")).ids == ids[::-1]


@pytest.mark.parametrize("path", [f"{POLL}?triggerState=", f"{ITEMS}?after="])
async def test_a_place_behind_retention_goes_on_at_the_oldest_event_and_says_so(house: House, path: str) -> None:
    start = (await house.get(POLL)).cursor
    old = [replace(draft(n), observed="2026-01-01T00:00:00.000Z") for n in range(1, 4)]
    await house.tell(*old)
    [kept] = await house.people(1, first=4)
    await house.app.store.prune(before=1_769_000_000)

    epoch = start.partition("-")[0]
    for sequence, gap in ((0, True), (2, True), (3, False)):
        reply = await house.get(f"{path}{epoch}-{sequence}")
        assert (reply.status, reply.ids, reply.is_gap) == (200, [kept], gap), sequence
        after = await house.get(f"{path}{reply.cursor}")
        assert after.status < 300 and not after.is_gap, "a gap is said once"


async def test_a_log_that_was_pruned_to_nothing_says_its_gap_once(house: House) -> None:
    start = (await house.get(POLL)).cursor
    await house.tell(replace(draft(1), observed="2026-01-01T00:00:00.000Z"))
    await house.app.store.prune(before=1_769_000_000)
    reply = await house.get(f"{POLL}?triggerState={start}")
    assert (reply.status, reply.is_gap) == (202, True)
    assert not (await house.get(reply.headers["Location"])).is_gap


@pytest.mark.parametrize("path", [f"{POLL}?triggerState=", f"{ITEMS}?after="])
async def test_a_place_in_another_state_begins_at_the_first_event_and_says_so(house: House, path: str) -> None:
    ids = await house.people(2)
    for cursor in ("deadbeef-1", "deadbeef-999999", f"{'9' * 20}-{'9' * 20}"):
        reply = await house.get(path + cursor)
        assert (reply.status, sorted(reply.ids), reply.is_gap) == (200, sorted(ids), True)
        assert not (await house.get(path + reply.cursor)).is_gap


async def test_a_restored_backup_loses_nothing_for_readers_behind_it_or_ahead_of_it(tmp_path: Path) -> None:
    backup, state = tmp_path / "backup.db", tmp_path / "poller.db"
    async with http_house(tmp_path) as house:
        start = (await house.get(POLL)).cursor
        before = await house.people(4)
        behind = (await house.get(f"{POLL}?limit=2&triggerState={start}")).cursor
        await house.app.store.backup(backup)
        lost = await house.people(2, first=5)
        ahead = (await house.get(f"{POLL}?triggerState={start}")).cursor
    for path in tmp_path.glob("poller.db*"):
        if path.suffix != ".key":
            path.unlink()
    backup.rename(state)

    async with http_house(tmp_path) as house:
        assert (await house.get(f"{POLL}?triggerState={ahead}")).is_gap
        found_again = await house.people(2, first=5)
        assert found_again == lost, "the same facts have the same ids"
        one, other = [await house.get(f"{POLL}?triggerState={cursor}") for cursor in (behind, ahead)]
    assert one.is_gap and one.ids == [*before[2:], *lost]
    assert other.is_gap and other.ids == lost


async def test_a_person_who_was_forgotten_is_not_read_from_memory_either(house: House) -> None:
    reply = await house.get(POLL)
    _, kept = await house.tell(draft(1, email="ada@example.com"), draft(2, email="bob@example.com"))
    assert len((await house.get(reply.headers["Location"])).ids) == 2
    await house.app.forget("ada@example.com")
    for path in (reply.headers["Location"], ITEMS, "/v1/feed"):
        told = await house.get(path)
        assert "ada@" not in told.text and told.ids == [kept]


# ── several readers ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_three_readers_at_their_own_paces_get_each_of_2000_events_once_and_in_order(tmp_path: Path) -> None:
    """Over a restart, and over retention that has taken what all of them had."""
    readers = {"slow": 37, "steady": 100, "fast": 1000}
    got: dict[str, list[str]] = {name: [] for name in readers}
    places: dict[str, str] = {}
    told: list[str] = []

    async def read(house: House, name: str, turns: int | None = None) -> None:
        while turns is None or turns > 0:
            state = f"&triggerState={places[name]}" if name in places else ""
            reply = await house.get(f"/v1/triggers/OnNewRegistration/poll?limit={readers[name]}{state}")
            got[name] += reply.ids
            places[name] = reply.cursor
            if reply.headers["Retry-After"] != "0":
                return
            turns = None if turns is None else turns - 1

    async def tell(house: House, numbers: range, month: str) -> None:
        for first in range(numbers.start, numbers.stop, 50):
            people = [replace(draft(n), observed=f"2026-{month}-01T00:00:00.000Z") for n in range(first, first + 50)]
            told.extend(await house.tell(*people))
            await house.tell(replace(webinar(first), observed=f"2026-{month}-01T00:00:00.000Z"))

    async with http_house(tmp_path) as house:
        for name in readers:
            await read(house, name)
        await tell(house, range(1, 1001), "01")
        for name in readers:
            await read(house, name, turns=20)
    async with http_house(tmp_path) as house:
        for name in readers:
            await read(house, name)
        assert (await house.app.store.prune(before=1_769_000_000))["events"] == 1020
        await tell(house, range(1001, 2001), "02")
        for name in readers:
            await read(house, name)
    assert len(told) == 2000
    for name in readers:
        assert got[name] == told, name
