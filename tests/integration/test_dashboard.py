"""The dashboard as a browser gets it: who is let in, what the pages say, and that their buttons do it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from poller.settings import Settings
from poller.testing.events import draft
from poller.web import gate, sessions
from poller.web.pages import PAGES, ROWS
from state.store import Select
from tests.integration.http_house import House, Reply, http_house, until
from tests.integration.receiver import receiver

KEYS = {"api_keys": ["full-key"], "read_only_keys": ["reading-key"]}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LISTS = ("/", "/ui/connections", "/ui/sinks", "/ui/dead", "/ui/journal", "/ui/events")
HOSTILE = '<script>alert("x")</script>'


async def page(house: House, path: str, **how: Any) -> Reply:
    return await house.get(path, headers=BROWSER, **how)


async def csrf(house: House, path: str = "/ui/sinks") -> str:
    """The token in the forms of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', (await page(house, path)).text)
    assert found
    return unescape(found[1])


async def press(house: House, action: str, token: str | None = None, **fields: str) -> Reply:
    form = {"csrf": await csrf(house) if token is None else token, **fields}
    return await house.ask("POST", f"/ui/actions/{action}", data=form, headers=BROWSER)


async def log_in(house: House, key: str, following: str = "/") -> Reply:
    return await house.ask("POST", "/ui/login", data={"key": key, "next": following}, headers=BROWSER)


# ── who is let in ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [*LISTS, "/ui/events/some-id", "/ui/explain?key=1", "/ui/nothing"])
async def test_who_is_not_logged_in_is_asked_for_a_key_and_led_back(tmp_path: Path, path: str) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        refused = await page(house, path)
        assert refused.status == 303 and "ui/login" in refused.headers["Location"]
        assert (await house.get(path)).status == 401, "a program is told so"
        let_in = await log_in(house, "full-key", path)
        assert let_in.headers["Location"] == f"../{path[1:]}"
        assert (await page(house, path)).status in (200, 404)


async def test_a_login_makes_a_cookie_that_scripts_and_other_sites_do_not_get(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        cookie = (await log_in(house, "full-key")).headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert "full-key" not in cookie


async def test_behind_https_the_cookie_stays_there(tmp_path: Path) -> None:
    public = {**KEYS, "public_url": "https://goto.example.com"}
    async with http_house(tmp_path, http=public) as house:
        headers = {**BROWSER, "Host": "goto.example.com"}
        let_in = await house.ask("POST", "/ui/login", data={"key": "full-key"}, headers=headers)
    assert "Secure" in let_in.headers["Set-Cookie"]


async def test_a_wrong_key_is_told_on_the_page_and_guessing_is_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "WRONG_PER_SECOND", 1e-6)  # or a guess would be free again while they are made
    async with http_house(tmp_path, http=KEYS) as house:
        tries = [await log_in(house, f"guess {n}") for n in range(int(gate.WRONG_BURST) + 1)]
        assert {one.status for one in tries[:-1]} == {401} and tries[-1].status == 429
        assert "not one of the keys" in tries[0].text and "guess 0" not in tries[0].text
        assert "Set-Cookie" not in tries[0].headers
        assert (await page(house, "/")).status == 303


async def test_another_sites_page_logs_nobody_in(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        headers = {"Sec-Fetch-Site": "cross-site"}
        refused = await house.ask("POST", "/ui/login", data={"key": "full-key"}, headers=headers)
    assert refused.status == 403 and "Set-Cookie" not in refused.headers


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/ui//evil.example", "/v1/feed", ""])
async def test_a_login_leads_to_no_other_site(tmp_path: Path, elsewhere: str) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        assert (await log_in(house, "full-key", elsewhere)).headers["Location"] == "../"


async def test_a_session_ends_with_logging_out_with_its_key_and_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        await log_in(house, "full-key")
        token = await csrf(house)
        assert (await house.ask("POST", "/ui/logout", data={"csrf": "other"})).status == 403
        kept = {cookie.key: cookie.value for cookie in house.session.cookie_jar}
        await house.ask("POST", "/ui/logout", data={"csrf": token})
        house.session.cookie_jar.update_cookies(kept)
        assert (await page(house, "/")).status == 303, "who kept the cookie gets no further"

        await log_in(house, "full-key")
        state = {"state": str(tmp_path / "poller.db")}
        http = {"listen": "127.0.0.1:0", "api_keys": ["another-key"]}
        await house.app.reload(Settings.parse({"engine": state, "http": http}, tmp_path))
        assert (await page(house, "/")).status == 303

        monkeypatch.setattr(sessions, "LIFETIME", 0.0)
        await log_in(house, "another-key")
        assert (await page(house, "/")).status == 303


async def test_a_session_opens_pages_and_no_endpoint_for_programs(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        await log_in(house, "full-key")
        assert (await page(house, "/")).status == 200
        assert (await page(house, "/v1/feed")).status == 401
        assert (await house.ask("POST", "/v1/sync", json={})).status == 401


async def test_without_keys_nobody_has_to_log_in_on_this_machine(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        assert [(await page(house, path)).status for path in LISTS] == [200] * len(LISTS)
        assert (await page(house, "/ui/login")).headers["Location"] == "../"
        stranger = await house.get("/", headers={**BROWSER, "Host": "evil.example"})
        assert stranger.status == 403 and "public_url" in stranger.text


# ── keys that may look and not act ───────────────────────────────────────────────────────────────────────────────────


async def test_a_read_only_key_reads_and_changes_nothing_over_the_api(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        key = {"X-API-Key": "reading-key"}
        assert (await house.get("/v1/feed", headers=key)).status == 200
        for method, path in (("POST", "/v1/sync"), ("POST", "/v1/subscriptions"), ("DELETE", "/v1/subscriptions/x")):
            refused = await house.ask(method, path, json={}, headers=key)
            assert refused.status == 403 and "read_only_keys" in refused.json["detail"]
            allowed = await house.ask(method, path, json={}, headers={"X-API-Key": "full-key"})
            assert allowed.status != 403


async def test_a_read_only_session_has_no_buttons_and_cannot_do_without_them(tmp_path: Path) -> None:
    tables = {"sinks": [{"name": "log", "type": "stdout"}]}
    async with http_house(tmp_path, http=KEYS, **tables) as house:
        await log_in(house, "reading-key")
        shown = await page(house, "/ui/sinks")
        assert "log" in shown.text and "ui/actions" not in shown.text and "may look and not act" in shown.text
        assert (await press(house, "pause", kind="sink", name="log")).status == 403
        assert not house.app.switches.is_paused("sink", "log")
        await house.ask("POST", "/ui/logout", data={"csrf": await csrf(house)})
        await log_in(house, "full-key")
        assert "ui/actions" in (await page(house, "/ui/sinks")).text


async def test_a_key_in_both_lists_may_only_look(tmp_path: Path) -> None:
    both = {"api_keys": ["same"], "read_only_keys": ["same"]}
    async with http_house(tmp_path, http=both) as house:
        assert (await house.ask("POST", "/v1/sync", json={}, headers={"X-API-Key": "same"})).status == 403


def test_a_read_only_key_is_a_key_where_others_can_reach_it() -> None:
    http = Settings.parse({"http": {"listen": "0.0.0.0:8470", "read_only_keys": ["some key"]}}).http
    assert http.address == ("0.0.0.0", 8470)


async def test_with_read_only_keys_alone_a_key_is_asked_for(tmp_path: Path) -> None:
    async with http_house(tmp_path, http={"read_only_keys": ["reading-key"]}) as house:
        assert (await house.get("/v1/feed")).status == 401


# ── forms of other sites ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("http", [{}, KEYS], ids=["without keys", "with keys"])
async def test_a_form_without_the_sessions_token_does_nothing(tmp_path: Path, http: dict[str, Any]) -> None:
    async with http_house(tmp_path, http=http, sinks=[{"name": "log", "type": "stdout"}]) as house:
        if http:
            await log_in(house, "full-key")
        own = await csrf(house)
        for token in ("", "x", own[:-1], "schlüssel"):
            assert (await press(house, "pause", token, kind="sink", name="log")).status == 403
        as_json = await house.ask("POST", "/ui/actions/pause", json={"csrf": own, "kind": "sink", "name": "log"})
        assert as_json.status == 415
        assert not house.app.switches.is_paused("sink", "log")
        assert (await press(house, "pause", own, kind="sink", name="log")).status == 303
        assert house.app.switches.is_paused("sink", "log")


async def test_every_page_forbids_what_is_not_its_own(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        for path in (*LISTS, "/ui/nothing"):
            reply = await page(house, path)
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy and "http" not in policy
            assert reply.headers["Cache-Control"] == "no-store"
            assert reply.headers["Referrer-Policy"] == "same-origin", "else browsers' forms have no origin"
            assert not re.search(r'(?:src|href|action)="(?:https?:)?//', reply.text), "nothing from elsewhere"
            assert not re.search(r"<script>|<style| style=| on\w+=", reply.text), "nothing that the policy would refuse"


# ── what pages say ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_goto_sends_is_text_wherever_it_is_shown(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        (id_,) = await house.tell(draft(1, webinarSubject=HOSTILE, firstName=HOSTILE))
        for path in ("/", "/ui/events", f"/ui/events/{id_}", f"/ui/explain?key={id_}"):
            text = (await page(house, path)).text
            assert HOSTILE not in text and "&lt;script&gt;" in text
        asked = await page(house, "/ui/explain", params={"key": f'">{HOSTILE}'})
        assert asked.status == 404 and HOSTILE not in asked.text


async def test_lists_name_no_person_and_the_event_itself_does(tmp_path: Path) -> None:
    async with http_house(tmp_path, sinks=[{"name": "log", "type": "stdout"}]) as house:
        (id_,) = await house.tell(draft(1, webinarSubject="Intro"))
        for path in LISTS:
            text = (await page(house, path)).text
            assert "zoe@example.com" not in text and "Zoë" not in text
        shown = (await page(house, f"/ui/events/{id_}")).text
        assert "zoe@example.com" in shown and "pending" in shown and "webinars/w1/registrants/1" in shown


async def test_an_empty_engine_says_what_to_do_next(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        text = (await page(house, "/")).text
        assert "No connections in the settings" in text and "No sinks in the settings" in text
        assert "No dead letters" in (await page(house, "/ui/dead")).text
        assert "No polls yet" in (await page(house, "/ui/journal")).text


async def test_the_event_log_is_turned_page_by_page(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        await house.people(ROWS + 3)
        first = (await page(house, "/ui/events")).text
        further = re.search(r'rel="next" href="([^"]+)"', first)
        assert further
        second = (await page(house, f"/ui/events{unescape(further[1])}")).text
        seen = [re.findall(r"webinars/w1/registrants/(\d+)<", text) for text in (first, second)]
        assert [int(number) for part in seen for number in part] == list(range(ROWS + 3, 0, -1))
        assert 'rel="next"' not in second


async def test_the_event_log_shows_one_type_alone_and_keeps_to_it_over_its_pages(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        await house.people(ROWS + 3)
        shown = (await page(house, "/ui/events?type=registrant.added")).text
        further = re.search(r'rel="next" href="([^"]+)"', shown)
        assert further and "<option selected>registrant.added" in shown
        older = (await page(house, f"/ui/events{unescape(further[1])}")).text
        assert len(re.findall(r"webinars/w1/registrants/(\d+)<", older)) == 3
        assert 'ui/events?type=registrant.added">Newest' in older
        assert "None of this type." in (await page(house, "/ui/events?type=meeting.ended")).text
        everything = (await page(house, "/ui/events?type=")).text  # as the form sends it
        assert "webinars/w1/registrants/" in everything and "selected" not in everything


async def test_a_page_that_is_not_there_is_a_page_for_people_and_a_problem_for_programs(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        missing = await page(house, "/ui/nothing")
        assert missing.status == 404 and "There is nothing here" in missing.text
        assert (await house.get("/ui/nothing")).json["status"] == 404
        assert (await page(house, "/v1/nothing")).json["status"] == 404
        assert (await page(house, "/ui/events/nothing")).status == 404
        wrong = await page(house, "/ui/connections?page=0")
        assert wrong.status == 400 and "page must be at least 1" in unescape(wrong.text).lower()


async def test_a_state_that_cannot_be_read_is_told_as_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_house(tmp_path) as house:

        async def defect(*_: object) -> None:
            raise RuntimeError("secret in a defect")

        monkeypatch.setattr(house.app.store, "latest", defect)
        shown = await page(house, "/ui/events")
    assert shown.status == 500 and "A defect" in shown.text and "secret" not in shown.text


async def test_assets_are_kept_by_browsers_and_there_is_nothing_beside_them(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        for name, kind in (("dashboard.css", "text/css"), ("dashboard.js", "text/javascript")):
            found = await house.get(f"/ui/static/{name}")
            assert found.status == 200 and found.headers["Content-Type"].startswith(kind)
            assert "immutable" in found.headers["Cache-Control"]
        assert (await house.get("/ui/static/..%2Fsessions.py")).status == 404


def test_pages_are_in_no_document_for_programs() -> None:
    from poller.web.openapi import document

    described = document("https://poller.example.com", "1", PAGES)
    assert described["paths"] == {}


# ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_open_pages_are_told_to_look_again_and_nothing_else(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house, house.session.get(f"{house.surface.url}/ui/live") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        await stream.content.readuntil(b"\n\n")
        await until(lambda: house.surface.followers == 1)
        await house.tell(draft(1))
        assert await stream.content.readuntil(b"\n\n") == b"data: 1\n\n"


async def test_the_live_stream_takes_a_session(tmp_path: Path) -> None:
    async with http_house(tmp_path, http=KEYS) as house:
        assert (await house.get("/ui/live")).status == 401


# ── buttons ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dead_letter_is_retried_and_another_is_dropped(tmp_path: Path) -> None:
    refusing = True

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=400 if refusing else 204)

    async with receiver(answer) as hook:
        sink = {"name": "crm", "type": "webhook", "url": hook.url, "allow_private": True}
        async with http_house(tmp_path, deliver=True, sinks=[sink]) as house:
            first, second, third = await house.people(3)
            store = house.app.store
            await until(lambda: house.app.watch.counts.dead["crm"] == 3)
            shown = (await page(house, "/ui/dead")).text
            assert "answered 400" in shown and shown.count("Really drop<") == 3
            refusing = False
            done = await press(house, "retry", sink="crm", ids=second, back="/ui/dead?sink=crm")
            assert done.headers["Location"] == "../../ui/dead?sink=crm"
            await until(lambda: house.app.watch.counts.deliveries["crm"] == 1)
            assert "1 dead letter will be sent again" in (await page(house, "/ui/dead")).text
            assert "will be sent again" not in (await page(house, "/ui/dead")).text, "it is said once"
            await press(house, "drop", sink="crm", ids=first)
            assert [one.id for one in await store.deliveries(Select(), ["dead"])] == [third]
            await press(house, "drop", sink="crm")
            assert await store.deliveries(Select(), ["dead"]) == []


async def test_no_form_drops_the_letters_of_all_sinks_at_once(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        refused = await press(house, "drop")
    assert refused.status == 400 and "sink" in refused.text


async def test_pausing_and_resuming_do_what_they_say(tmp_path: Path) -> None:
    async with http_house(tmp_path, sinks=[{"name": "log", "type": "stdout"}]) as house:
        for kind, name in (("sink", "log"), ("trigger", "all")):
            await press(house, "pause", kind=kind, name=name)
            assert house.app.switches.is_paused(kind, name)
            assert "paused" in (await page(house, "/ui/sinks")).text
            await press(house, "resume", kind=kind, name=name)
            assert not house.app.switches.is_paused(kind, name)


async def test_what_cannot_be_done_is_told_on_the_next_page(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        await press(house, "pause", kind="sink", name=HOSTILE)
        text = (await page(house, "/ui/sinks")).text
        assert 'role="alert"' in text and "there is no sink" in text and HOSTILE not in text
        assert (await press(house, "forget", email="a@example.com")).status == 404, "buttons are few"


async def test_checking_now_tells_how_many_lists_it_concerns(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        assert (await press(house, "sync")).status == 303
        assert "Checking now: 0 lists" in (await page(house, "/")).text


async def test_links_and_redirects_work_below_a_proxys_path(tmp_path: Path) -> None:
    async with http_house(tmp_path) as house:
        for path in LISTS:
            text = (await page(house, path)).text
            assert not re.search(r'(?:src|href|action)="/', text)
