"""Nobody reads of people or secrets where they do not belong, and every delivery can be verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from poller.log import clean
from tests.acceptance.confidential import leaks
from tests.acceptance.receivers import Receipt
from tests.acceptance.stage import SECOND_SECRET, SECRET, Plan, Stage, staged

OLD, NEW = SECRET, SECOND_SECRET
PHASES = [[OLD], [NEW, OLD], [NEW]]


def _command_line(stage: Stage) -> str:
    return Path(f"/proc/{stage.engine.pid}/cmdline").read_text().replace("\0", " ")


# Four commits make the baseline, and at least three more tell of those who register.
@pytest.mark.parametrize("failpoint", ["", "commit.inside=raise@6"])
async def test_no_output_tells_of_people_or_secrets(tmp_path: Path, failpoint: str) -> None:
    """At the most talkative level, with refused deliveries, bad answers, and failures of the engine's own."""
    async with staged(tmp_path, Plan(webinars=3)) as stage:
        await stage.engine.start(failpoints=failpoint)
        await stage.until(stage.has_baseline)
        stage.silent_until = len(stage.simulator.world.truth.facts)
        stage.hook().script.extend(["400", "503", "reset"])
        for fault in ("truncated", "html", "null-keys", "wrong-types", "500"):
            stage.simulator.faults.arm(fault, times=1)
        subjects = stage.register(12)
        await stage.until(lambda: not stage.simulator.faults.armed)
        await stage.hook().until(lambda: not stage.hook().script)
        await stage.drain()
        [verdict] = stage.assert_clean()
        assert verdict.events + len(stage.dead("crm")) == len(subjects)
        said = _command_line(stage) + stage.engine.said()
        for words in ("poll.failed", "answered 400", "answered 503", "disconnected", failpoint.partition("=")[0]):
            assert words in said, "whoever says nothing tells nothing"
        assert not leaks(said, stage.simulator, [OLD, NEW])
        for command in (["status"], ["deliveries"], ["dead", "list"]):
            shown = await stage.engine.command(*command)  # `staged` reads what they said, too
            assert shown.code == 0 and shown.out


async def test_the_search_for_leaks_finds_each_kind(tmp_path: Path) -> None:
    """A search that finds nothing anywhere would prove nothing."""
    async with staged(tmp_path, Plan(webinars=1, registrants=3)) as stage:
        person = next(iter(stage.simulator.world.registrants(stage.simulator.world.webinars()[0].webinar_key).values()))
        host = stage.simulator.world.organizers[0]
        for text in (
            person.email,
            f"registered {person.last_name} today",
            f"url=https://global.gotowebinar.com/join/1/{person.registrant_key}",
            host.pat,
            OLD,
            stage.simulator.client_secret,
            "Authorization: Bearer abcdefghijkl",
        ):
            assert leaks(text, stage.simulator, [OLD]), text
        assert not leaks("poll.completed added=3 target='registrants of 4255157664015486220'", stage.simulator, [OLD])
        masked = clean(f"{person.email} signs with {OLD}; GET /token?pat={host.pat} {person.join_url}")
        assert not leaks(masked, stage.simulator, [OLD])


def _verifies(receipt: Receipt, secret: str) -> bool:
    try:
        return bool(Webhook(secret).verify(receipt.body, dict(receipt.headers)))
    except WebhookVerificationError:
        return False


async def test_every_delivery_verifies_with_an_independent_verifier_during_a_rotation_too(tmp_path: Path) -> None:
    """With the old secret, with both, with the new one; also what is sent again after a kill or a lost answer."""
    async with staged(tmp_path, Plan(webinars=3, rate=600.0)) as stage:
        stage.hook().chances = {"lost": 0.01, "500": 0.01}
        starts: list[int] = []
        await stage.begin()
        for secrets in PHASES:
            stage.add_hook("crm", secret=secrets)
            stage.write_settings()
            starts.append(len(stage.hook().receipts))
            await stage.engine.ask("reload")
            await stage.hook().until(lambda: len(stage.hook().taken) >= 20 * len(starts))
            await stage.engine.kill()
            await stage.engine.start()
            await stage.engine.ready()
        await stage.drain()
        [verdict] = stage.assert_clean()
        receipts = stage.hook().receipts
        for number, receipt in enumerate(receipts):
            phase = sum(number >= start for start in starts) - 1
            verified = [secret for secret in (NEW, OLD) if _verifies(receipt, secret)]
            # What was under way when the settings changed is still signed as before.
            assert verified in PHASES[max(phase - 1, 0) : phase + 1], number
            assert json.loads(receipt.body)["id"] == receipt.id
        print(f"{len(receipts)} deliveries verified\n{verdict}")


async def test_a_changed_byte_does_not_verify(tmp_path: Path) -> None:
    async with staged(tmp_path, Plan(webinars=1)) as stage:
        await stage.begin()
        await stage.told(stage.register(1))
        receipt = stage.hook().receipts[0]
        assert _verifies(receipt, OLD)
        assert not _verifies(Receipt(0.0, 0.0, receipt.headers, receipt.body + b" ", "ok"), OLD)
