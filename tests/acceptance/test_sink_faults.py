"""Receivers that fail in every way: other sinks do not notice, nothing is lost, and a repetition is recognisable."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from state.delivery import RETRY_SCHEDULE
from tests.acceptance.receivers import HUGE, TRICKLE_SECONDS
from tests.acceptance.stage import Plan, staged

AT_ONCE = ("trickle", "huge", "latency")  # the status line was good: delivered, whatever comes after it
AGAIN = ("500", "503", "timeout", "reset", "redirect", "lost")


async def test_each_sink_fails_alone_and_what_it_missed_comes_again(tmp_path: Path) -> None:
    """Redirects are not followed; neither an endless nor an oversized answer holds anything up."""
    async with staged(tmp_path, Plan(hooks=("steady", *AT_ONCE, *AGAIN))) as stage:
        for name in (*AT_ONCE, *AGAIN):
            stage.hook(name).script.append(name)
        stage.add_hook("timeout", timeout="1s")  # shorter than the receiver holds a request back
        stage.write_settings()
        await stage.begin()
        began = time.monotonic()
        subject = stage.register(1)
        await stage.told(subject, "steady")
        for name in AT_ONCE:
            await stage.told(subject, name)
        for name in AGAIN:
            await stage.hook(name).until(lambda name=name: len(stage.hook(name).receipts) >= 2)
        await stage.drain()
        stage.assert_clean()
        assert len(stage.hook("steady").receipts) == 1
        assert stage.hook("steady").receipts[0].at - began < min(stage.hook(name).receipts[1].at for name in AGAIN)
        for name in AT_ONCE:
            assert len(stage.hook(name).receipts) == 1, name
        assert HUGE > 65536 and TRICKLE_SECONDS > 1


async def test_a_lost_answer_means_the_same_event_again_freshly_signed(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.hook().script.append("lost")
        await stage.begin()
        stage.register(1)
        await stage.hook().until(lambda: len(stage.hook().receipts) == 2)
        first, second = stage.hook().receipts
        assert second.id == first.id == second.event["id"]
        assert second.body == first.body
        assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
        assert second.headers["webhook-signature"] != first.headers["webhook-signature"]
        # Signed when it was sent: after the pause that follows a failure, and before it came.
        soonest = int(first.wall) + RETRY_SCHEDULE[0] - 1  # timestamps are whole seconds
        assert soonest <= int(second.headers["webhook-timestamp"]) <= second.wall
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict["D1"] == 1


async def test_a_receiver_without_tls_where_tls_is_due_is_named_and_disturbs_nobody(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(hooks=("crm", "plain"))) as stage:
        stage.add_hook("plain", url=stage.hook("plain").url.replace("http:", "https:"))
        stage.write_settings()
        await stage.begin()
        await stage.told(stage.register(3))
        await stage.until(lambda: stage.backlog("crm") == 0)
        assert stage.backlog("plain") == 3
        failure = "SELECT error FROM sinks WHERE name = 'plain' AND failures > 0"
        await stage.until(lambda: stage.rows(failure) != [])
        assert "TLS" in stage.rows(failure)[0][0]
        stage.add_hook("plain")
        stage.write_settings()
        await stage.engine.ask("reload")
        await stage.drain()
        stage.assert_clean()


async def test_an_event_refused_for_good_is_a_dead_letter_at_once_with_its_reason(tmp_path: Path) -> None:
    """The events behind it go on; a replay sends the same id and the same bytes."""
    codes = ("400", "413", "422")
    async with staged(tmp_path, Plan(webinars=1, hooks=codes)) as stage:
        for code in codes:
            stage.hook(code).script.append(code)
        await stage.begin()
        refused = stage.register(1)
        for code in codes:
            await stage.until(lambda code=code: stage.dead(code) != [])
        accepted = stage.register(1)
        for code in codes:
            await stage.told(accepted, code)
            await stage.until(lambda code=code: stage.backlog(code) == 0)
            [(body, reason)] = stage.dead(code)
            assert f"answered {code}" in reason
            assert body == stage.hook(code).receipts[0].body
            await stage.engine.ask("replay", sink=code)
        for code in codes:
            await stage.told(refused, code)
            await stage.until(lambda code=code: stage.backlog(code) == 0)
            first = stage.hook(code).receipts[0]
            assert (first.id, first.body) in [(again.id, again.body) for again in stage.hook(code).taken]
            # An older event after a newer one is what a replay is; else nothing is out of place.
            [verdict] = stage.verdicts([code])
            assert not any(verdict[figure] for figure in ("L", "D2", "P", "T")), verdict


async def test_a_receiver_that_turns_everything_away_is_probed_one_at_a_time(tmp_path: Path) -> None:
    """401, 403, 404: nothing dies, nothing is hammered, and a person who says "now" gets everything delivered."""
    codes = ("401", "403", "404")
    async with staged(tmp_path, Plan(hooks=("crm", *codes))) as stage:
        for code in codes:
            stage.hook(code).chances = {code: 1.0}
        await stage.begin()
        subjects = stage.register(30)
        await stage.told(subjects)
        for code in codes:
            await stage.hook(code).until(lambda code=code: len(stage.hook(code).receipts) >= 2)
        await asyncio.sleep(2.0)  # time in which a herd would show itself
        for code in codes:
            receiver = stage.hook(code)
            # At most what was under way when the first failure came back, and one look at another webinar.
            assert len(receiver.receipts) <= 4 + 2, code
            assert not stage.dead(code)
            assert stage.backlog(code) == 30
            receiver.heal()
            first = len(receiver.receipts)
            await stage.engine.ask("resume", kind="sink", name=code)
            await stage.told(subjects, code)
            ids = {receipt.id for receipt in receiver.receipts[:first]}
            assert ids <= {receipt.id for receipt in receiver.taken}
        await stage.drain()
        stage.assert_clean()


async def test_410_disables_the_sink_and_keeps_what_it_is_owed(tmp_path: Path) -> None:
    """Over a restart too, until a person resumes it."""
    async with staged(tmp_path, Plan(webinars=1, hooks=("crm", "gone"))) as stage:
        stage.hook("gone").chances = {"410": 1.0}
        await stage.begin()
        subjects = stage.register(5)
        await stage.told(subjects)
        await stage.until(lambda: stage.rows("SELECT 1 FROM sinks WHERE name = 'gone' AND disabled != ''") != [])
        assert len(stage.hook("gone").receipts) == 1
        assert await stage.engine.stop() == 0
        await stage.engine.start()
        more = stage.register(2)
        await stage.told(more)
        assert len(stage.hook("gone").receipts) == 1
        assert stage.backlog("gone") == 7 and not stage.dead("gone")
        stage.hook("gone").heal()
        await stage.engine.ask("resume", kind="sink", name="gone")
        await stage.told([*subjects, *more], "gone")
        assert stage.hook("gone").taken[0].id == stage.hook("gone").receipts[0].id
        await stage.drain()
        stage.assert_clean()


async def test_a_receiver_that_names_a_time_is_left_alone_until_then(tmp_path: Path) -> None:
    """Retry-After of a sink, over a kill too."""
    async with staged(tmp_path, Plan(webinars=2, sink={"concurrency": 1})) as stage:
        crm = stage.hook()
        crm.headers = {"Retry-After": "8"}
        crm.script.append("503")
        await stage.begin()
        subjects = stage.register(4)
        # A kill before it is written down would be followed by an attempt at once.
        await stage.until(lambda: stage.rows("SELECT 1 FROM sinks WHERE name = 'crm' AND failures > 0") != [])
        await stage.engine.kill()
        [asked] = crm.receipts
        await stage.engine.start()
        await stage.told(subjects)
        assert crm.receipts[1].at >= asked.at + 8.0
        await stage.drain()
        stage.assert_clean()
