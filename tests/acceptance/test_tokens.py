"""Logins: expiry, revocation, and a crash while a one-use refresh token is exchanged."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from poller.app import App
from poller.goto import TokenSet
from poller.settings import Settings
from poller.simulator import ApiOptions, Simulator
from poller.simulator.oauth import s256
from tests.acceptance.stage import Plan, Stage, staged

REDIRECT = "http://127.0.0.1:8471/callback"
ROTATING = ApiOptions(refresh_tokens="rotate", access_token_seconds=3600.0)


async def _consent(stage: Stage, *, lasting: float = 3600.0) -> TokenSet:
    """A person logs in. `lasting` (seconds) is what we believe of the access token."""
    verifier = secrets.token_urlsafe(48)
    page = {
        "client_id": Simulator.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "code_challenge": s256(verifier),
        "code_challenge_method": "S256",
    }
    async with aiohttp.ClientSession(stage.base_url) as session:
        async with session.get("/oauth/authorize", params=page, allow_redirects=False) as answer:
            [code] = parse_qs(urlsplit(answer.headers["Location"]).query)["code"]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": verifier,
            "client_id": Simulator.client_id,
            "client_secret": Simulator.client_secret,
        }
        async with session.post("/oauth/token", data=form) as answer:
            fields = await answer.json()
    expiry = datetime.now(UTC) + timedelta(seconds=lasting)
    return TokenSet(fields["access_token"], fields["refresh_token"], expiry)


async def _log_in(stage: Stage, *, lasting: float = 61.0) -> None:
    """With no engine running, as `poller login` does it. `lasting`: by itself, the access token is about to expire."""
    app = await App.open(Settings.load(stage.engine.config))
    try:
        await app.logins.log_in("acme", await _consent(stage, lasting=lasting))
    finally:
        await app.close()


def _refreshes(stage: Stage) -> int:
    return sum(stage.simulator.report().operations.get("token", {}).values())


async def test_many_polls_that_meet_an_expired_token_share_one_refresh(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(webinars=12)) as stage:
        await stage.begin()
        world = stage.simulator.world
        for _ in range(3):
            before = _refreshes(stage)
            stage.simulator.oauth.expire_access_tokens(world.organizers[0].organizer_key)
            await stage.told(stage.register(12))
            assert _refreshes(stage) == before + 1
        await stage.drain()
        stage.assert_clean()


async def test_a_token_that_expires_between_two_pages_interrupts_nothing(tmp_path: Path) -> None:
    plan = Plan(webinars=2, registrants=900, page_above=100)
    async with staged(tmp_path, plan) as stage:
        await stage.begin()
        for strike in range(1, 6):
            stage.simulator.faults.arm("token-rejected", times=1, operation="getAllRegistrantsForWebinar")
            await stage.told(stage.register(4))
            await stage.until(lambda strike=strike: stage.simulator.faults.struck["token-rejected"] == strike)
        await stage.drain()
        stage.assert_clean()


async def test_one_revoked_login_stops_its_own_connection_and_no_other(tmp_path: Path) -> None:
    """What happened meanwhile is told after the next login, and nothing else is."""
    plan = Plan(webinars=4, world={"organizers": 2})
    async with staged(tmp_path, plan) as stage:
        stage.add_connection("other", 1)
        stage.write_settings()
        await stage.engine.start()
        await stage.until(lambda: stage.rows("SELECT count(*) FROM targets WHERE polled_at > 0") == [(6,)])
        stage.silent_until = len(stage.simulator.world.truth.facts)
        world, host = stage.simulator.world, stage.simulator.world.organizers[0]
        mine = [webinar.webinar_key for webinar in world.webinars(host.organizer_key)]
        theirs = [webinar.webinar_key for webinar in world.webinars(world.organizers[1].organizer_key)]
        stage.simulator.oauth.revoke(host.organizer_key)
        refused = "SELECT name FROM connections WHERE status = 'unauthorized'"
        await stage.until(lambda: stage.rows(refused) == [("acme",)])
        calls = _refreshes(stage)
        unseen = [world.register(key).path for key in mine]
        await stage.told([world.register(key).path for key in theirs])
        assert _refreshes(stage) == calls  # a login that is over is not tried again and again
        await stage.until(lambda: stage.backlog() == 0)
        stage.simulator.oauth.restore(host.organizer_key)
        await stage.engine.ask("login", connection="acme", pat=host.pat)
        await stage.told(unseen)
        await stage.drain()
        stage.assert_clean()


async def test_an_engine_whose_only_login_is_revoked_stays_and_goes_on_after_a_login(tmp_path: Path) -> None:
    """What is pending is still delivered; only a start that nothing works for ends by itself."""
    async with staged(tmp_path, Plan()) as stage:
        await stage.begin()
        await stage.told(stage.register(1))  # it has worked
        host = stage.simulator.world.organizers[0]
        await stage.engine.ask("pause", kind="sink", name="crm")
        owed = stage.register(2)
        await stage.until(lambda: stage.backlog() == len(owed))
        stage.simulator.oauth.revoke(host.organizer_key)
        await stage.until(lambda: stage.rows("SELECT 1 FROM connections WHERE status = 'unauthorized'") != [])
        unseen = stage.register(3)
        await stage.engine.ask("resume", kind="sink", name="crm")
        await stage.told(owed)
        stage.simulator.oauth.restore(host.organizer_key)
        await stage.engine.ask("login", connection="acme", pat=host.pat)
        await stage.told(unseen)
        await stage.drain()
        stage.assert_clean()


@pytest.mark.parametrize("keys", ["one", "both"])
async def test_a_rotated_token_is_durable_before_its_first_use(tmp_path: Path, keys: str) -> None:
    """A kill right after it was saved needs no login; the next start works with what was kept."""
    async with staged(tmp_path, Plan(with_pat=False, api=ROTATING)) as stage:
        await _log_in(stage)
        # The access token is dead, so the start must refresh.
        stage.simulator.oauth.expire_access_tokens(stage.simulator.world.organizers[0].organizer_key)
        for _ in range(2 if keys == "both" else 1):
            await stage.engine.start(failpoints="token.saved=kill")
            assert await stage.engine.ended() == -9
            stage.simulator.oauth.expire_access_tokens(stage.simulator.world.organizers[0].organizer_key)
        await stage.begin()
        await stage.told(stage.register(3))
        await stage.drain()
        stage.assert_clean()


@pytest.mark.parametrize("lasting", [61.0, 3600.0], ids=["known to be over", "believed to be good"])
async def test_a_one_use_token_lost_in_a_crash_asks_for_one_login(tmp_path: Path, lasting: float) -> None:
    """The refresh token was used up and its successor died with the process. It is said once, a start without a login
    ends with 3, be it the introduction or the first poll that finds out, and after one login all goes on."""
    async with staged(tmp_path, Plan(with_pat=False, api=ROTATING)) as stage:
        await _log_in(stage, lasting=lasting)
        await stage.begin()
        organizer = stage.simulator.world.organizers[0].organizer_key
        assert await stage.engine.stop() == 0
        stage.simulator.oauth.expire_access_tokens(organizer)
        await stage.engine.start(failpoints="token.received=kill")
        assert await stage.engine.ended() == -9
        unseen = stage.register(3)
        await stage.engine.start()
        await stage.until(lambda: stage.rows("SELECT 1 FROM connections WHERE status = 'unauthorized'") != [])
        asked = _refreshes(stage)
        assert await stage.engine.ended() == 3  # nothing is left that could work
        assert stage.engine.said().count("connection.unauthorized") == 1
        refused = await stage.engine.command("run")
        assert refused.code == 3
        assert "poller login" in refused.err
        assert _refreshes(stage) <= asked + 1
        await _log_in(stage)
        await stage.engine.start()
        await stage.told(unseen)
        await stage.drain()
        stage.assert_clean()
