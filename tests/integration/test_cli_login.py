"""From no settings to a connection that works, and the check that says so."""

from __future__ import annotations

import contextlib
import json

import aiohttp
import pytest

from poller.clock import SystemClock
from poller.simulator import ApiOptions, Simulator
from tests.integration.terminal import Terminal, line_of
from tests.integration.terminal_world import ACME, LOG, WORLD, connection_of, events, key_of, pat_of

# ── init and login ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_init_writes_where_config_points_and_the_file_is_for_its_owner_only(terminal: Terminal) -> None:
    said = await terminal.run("init")

    assert said.code == 0 and str(terminal.config) in said.out
    assert terminal.config.stat().st_mode & 0o777 == 0o600


async def test_a_token_from_standard_input_is_kept_sealed_and_its_owner_is_named_by_key(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.write(ACME, LOG)

    said = await terminal.run("login", "acme", "--pat", answer=f"{pat_of(sim)}\n")

    assert said.code == 0
    assert key_of(sim) in said.out and sim.world.organizers[0].email not in said.out + said.err
    assert all(pat_of(sim).encode() not in content for content in terminal.contents().values())
    assert (await terminal.run("run", "--once")).code == 0


@pytest.mark.parametrize("beside", [True, False], ids=["beside an engine", "alone"])
async def test_logging_in_by_browser_needs_nothing_but_the_printed_address(
    terminal: Terminal, sim: Simulator, beside: bool
) -> None:
    """The person's browser is sent to GoTo, and comes back to the waiting command."""
    terminal.write(ACME, f'[[connections]]\nname = "other"\npat = "{pat_of(sim, 1)}"', LOG)
    async with contextlib.AsyncExitStack() as stack:
        if beside:
            await stack.enter_async_context(terminal.engine())
        process = await stack.enter_async_context(terminal.process("login", "acme", "--no-browser"))
        address = (await line_of(process.stdout, "/oauth/authorize")).strip()
        async with aiohttp.ClientSession() as browser, browser.get(address) as page:
            assert "Logged in" in await page.text()
        said = await terminal.ended(process)

    assert said.code == 0 and key_of(sim) in said.out
    assert "code_challenge" in address and "scope=collab:+identity:scim.me" in address
    assert (await terminal.run("run", "--once")).code == 0


@pytest.mark.parametrize("more", ['products = ["meeting"]', "account = true"])
async def test_a_login_for_meetings_or_an_account_asks_for_one_scope_more(
    terminal: Terminal, sim: Simulator, more: str
) -> None:
    terminal.write(f'[[connections]]\nname = "acme"\n{more}', LOG)
    async with terminal.process("login", "acme", "--no-browser") as process:
        address = (await line_of(process.stdout, "/oauth/authorize")).strip()
    assert "scope=collab:+identity:scim.me+identity:" in address


async def test_a_login_refused_in_the_browser_ends_with_its_reason(terminal: Terminal, sim: Simulator) -> None:
    terminal.write(ACME, LOG)
    async with terminal.process("login", "acme", "--no-browser") as process:
        address = await line_of(process.stdout, "/oauth/authorize")
        state = address.partition("state=")[2].partition("&")[0]
        back = f"{terminal.redirect}?error=access_denied&state={state}"
        async with aiohttp.ClientSession() as browser, browser.get(back) as page:
            assert page.status == 400
        said = await terminal.ended(process)

    assert said.code == 3 and "access_denied" in said.err and "Traceback" not in said.err


async def test_the_same_organizer_logging_in_again_keeps_everything(terminal: Terminal, sim: Simulator) -> None:
    terminal.write(ACME, LOG)
    await terminal.run("login", "acme", "--pat", answer=pat_of(sim))
    await terminal.run("run", "--once")
    before = await connection_of(terminal)

    assert (await terminal.run("login", "acme", "--pat", answer=pat_of(sim))).code == 0

    assert await connection_of(terminal) == before and before.baseline_at is not None


async def test_another_organizer_under_a_known_name_is_refused_and_the_old_login_stays(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.write(ACME, LOG)
    await terminal.run("login", "acme", "--pat", answer=pat_of(sim))

    said = await terminal.run("login", "acme", "--pat", answer=pat_of(sim, 1))

    assert said.code == 2
    assert key_of(sim, 0) in said.err and key_of(sim, 1) in said.err and "--replace" in said.err
    assert (await connection_of(terminal)).organizer_key == key_of(sim)
    assert (await terminal.run("check")).code == 0


async def test_a_replaced_organizer_begins_with_a_silent_baseline_and_nothing_of_the_former_is_told_gone(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.write(ACME, LOG)
    await terminal.run("login", "acme", "--pat", answer=pat_of(sim))
    await terminal.run("run", "--once")

    said = await terminal.run("login", "acme", "--pat", "--replace", answer=pat_of(sim, 1))
    assert said.code == 0 and key_of(sim, 1) in said.out
    for _ in range(3):
        assert (await terminal.run("run", "--once")).code == 0

    assert events(terminal) == []
    theirs = next(found for found in sim.world.webinars() if found.hosted_by(key_of(sim, 1)))
    sim.world.register(theirs.webinar_key)
    await terminal.run("run", "--once")
    assert [event["source"] for event in events(terminal)] == [f"/organizers/{key_of(sim, 1)}"]


async def test_a_refused_token_leaves_the_stored_login_alone(terminal: Terminal, sim: Simulator) -> None:
    terminal.write(ACME, LOG)
    await terminal.run("login", "acme", "--pat", answer=pat_of(sim))

    said = await terminal.run("login", "acme", "--pat", answer="not-a-token")

    assert said.code == 3 and "invalid_grant" in said.err and "not-a-token" not in said.err
    assert (await terminal.run("check")).code == 0


async def test_a_lost_key_is_given_up_by_logging_in_anew_with_replace(terminal: Terminal, sim: Simulator) -> None:
    terminal.write(ACME, LOG, engine='key = "lost"')
    await terminal.run("login", "acme", "--pat", answer=pat_of(sim))
    terminal.write(ACME, LOG, engine='key = "new"')
    assert (await terminal.run("run", "--once")).code == 2

    assert (await terminal.run("login", "acme", "--pat", "--replace", answer=pat_of(sim))).code == 0

    assert (await terminal.run("run", "--once")).code == 0


async def test_a_login_beside_an_engine_puts_its_connection_to_work(terminal: Terminal, sim: Simulator) -> None:
    working = f'[[connections]]\nname = "other"\npat = "{pat_of(sim, 1)}"'
    terminal.write(ACME + '\nstart = "all"', working, LOG)
    async with terminal.engine() as app:
        await app.watch.until(lambda: "acme" in app.logins.refused())

        assert (await terminal.run("login", "acme", "--pat", answer=pat_of(sim))).code == 0
        await terminal.run("sync", "acme", "--wait")

        assert app.logins.refused() == []
        await app.watch.until(lambda: app.watch.counts.deliveries["log"] > 0)
    assert {event["connection"] for event in events(terminal)} == {"acme"}


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def rows_of_check(terminal: Terminal, code: int) -> dict[str, dict]:
    said = await terminal.run("check", "--json")
    assert said.code == code, said
    return {row["name"]: row for row in json.loads(said.out) if row["what"] != "plan"}


async def test_check_names_what_works_how_often_it_polls_and_what_the_limits_make_of_it(
    terminal: Terminal, sim: Simulator
) -> None:
    limits = "[limits]\nper_day = 100"
    terminal.log_in_by_pat(sim, LOG, limits, '[[connections]]\nname = "off"\nactive = false')
    await terminal.run("run", "--once")

    rows = await rows_of_check(terminal, 0)

    assert [rows[name]["result"] for name in ("acme", "off", "log")] == ["ok", "skipped", "ok"]
    assert key_of(sim) in rows["acme"]["detail"] and "the settings ask for 0.2s" in rows["acme"]["detail"]
    assert "out.jsonl" in rows["log"]["detail"]
    assert events(terminal) == []


async def test_check_finds_what_fails_and_login_alone_has_a_code_of_its_own(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, '[[connections]]\nname = "other"', LOG)
    rows = await rows_of_check(terminal, 3)
    assert (rows["acme"]["result"], rows["other"]["result"]) == ("ok", "failed")
    assert "poller login other" in rows["other"]["detail"]

    (terminal.folder / "taken").mkdir()
    terminal.log_in_by_pat(sim, '[[connections]]\nname = "other"', LOG.replace("out.jsonl", "taken"))
    rows = await rows_of_check(terminal, 1)
    assert rows["log"]["result"] == "failed" and "taken" in rows["log"]["detail"]


async def test_a_missing_scope_is_named_with_what_it_switches_off(terminal: Terminal) -> None:
    api = ApiOptions(scopes="collab: identity:scim.me")
    sim = Simulator(WORLD, clock=SystemClock(), api=api)
    async with sim.serve(ticker=False) as terminal.url:
        terminal.log_in_by_pat(sim, LOG)
        assert (await rows_of_check(terminal, 0))["acme"]["result"] == "ok"
        terminal.log_in_by_pat(sim, LOG, more='products = ["webinar", "meeting"]')

        detail = (await rows_of_check(terminal, 1))["acme"]["detail"]

    assert "the scope identity: is missing" in detail and "meeting" in detail


@pytest.mark.parametrize("fault", ["500", "503", "reset", "429"])
async def test_an_outage_fails_a_check_and_stops_nothing(terminal: Terminal, sim: Simulator, fault: str) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    sim.faults.arm(fault, operation="getWebinars")

    rows = await rows_of_check(terminal, 1)

    assert rows["acme"]["result"] == "failed"
    assert (await connection_of(terminal)).status == "active"


async def test_a_refusal_that_only_a_login_can_mend_stops_the_connection(terminal: Terminal, sim: Simulator) -> None:
    terminal.log_in_by_pat(sim, LOG)
    await terminal.run("run", "--once")
    sim.oauth.revoke(key_of(sim))

    rows = await rows_of_check(terminal, 3)

    assert "invalid_grant" in rows["acme"]["detail"]
    assert (await connection_of(terminal)).status == "unauthorized"
    sim.oauth.restore(key_of(sim))
    assert (await rows_of_check(terminal, 0))["acme"]["result"] == "ok"
    assert (await connection_of(terminal)).status == "active"


async def test_check_beside_an_engine_looks_through_its_eyes_and_tells_of_an_unread_file(
    terminal: Terminal, sim: Simulator
) -> None:
    terminal.log_in_by_pat(sim, LOG)
    async with terminal.engine():
        assert (await rows_of_check(terminal, 0))["acme"]["result"] == "ok"
        terminal.log_in_by_pat(sim, LOG, engine='interval = "7s"')

        assert "engine.interval" in (await rows_of_check(terminal, 0))[""]["detail"]
