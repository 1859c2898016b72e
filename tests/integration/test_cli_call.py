"""`poller call`: operations by name and raw requests, beside an engine and without one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from poller.simulator import Simulator
from tests.integration.recording_goto import CUT, RecordingGoto, recording
from tests.integration.terminal import Said, Terminal
from tests.integration.terminal_world import LOG, events, key_of

RANGE = ("--param", "fromTime=2000-01-01T00:00:00Z", "--param", "toTime=2100-01-01T00:00:00Z")
PERSON = ("--param", "firstName=Bo", "--param", "lastName=Lind", "--param", "email=bo.lind@example.com")
BESIDE = pytest.mark.parametrize("beside", [True, False], ids=["beside an engine", "alone"])


@contextlib.asynccontextmanager
async def perhaps(terminal: Terminal, beside: bool) -> AsyncIterator[None]:
    async with terminal.engine() if beside else contextlib.nullcontext():
        yield


@pytest.fixture
def acme(terminal: Terminal, sim: Simulator) -> Terminal:
    """One connection that works."""
    terminal.log_in_by_pat(sim, LOG)
    return terminal


@pytest.fixture
async def goto(terminal: Terminal) -> AsyncIterator[RecordingGoto]:
    """A GoTo that answers what the test says, and one connection to it."""
    async with recording() as goto:
        terminal.url = goto.url
        terminal.write('[[connections]]\nname = "acme"\npat = "pat"', LOG)
        yield goto


async def called(terminal: Terminal, *arguments: str, answer: str = "") -> Any:
    """The result of a call that goes well."""
    said = await terminal.run("call", *arguments, answer=answer)
    assert said.code == 0, said
    return json.loads(said.out) if said.out else None


def webinar_of(sim: Simulator) -> Any:
    """One to come, of the first organizer."""
    return max(sim.world.webinars(key_of(sim)), key=lambda webinar: webinar.times[0].start)


# ── by name ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@BESIDE
async def test_what_the_connectors_can_do_works_by_their_names(acme: Terminal, sim: Simulator, beside: bool) -> None:
    webinar = ("--param", f"webinarKey={webinar_of(sim).webinar_key}")
    async with perhaps(acme, beside):
        listed = await called(acme, "List Webinars", *RANGE, "--all")
        one = await called(acme, "Get webinar", *webinar)
        made = await called(acme, "Add registrant", *webinar, *PERSON, "--param", "organization=Kite")
        again = await called(acme, "createRegistrant", *webinar, *PERSON)
        person = (*webinar, "--param", f"registrantKey={made['registrantKey']}")
        details = await called(acme, "Get Registrant", *person)
        people = await called(acme, "List registrants", *webinar)
        await called(acme, "Update Webinar", *webinar, "--param", "subject=New title")
        await called(acme, "Delete Registrant", *person)
        await called(acme, "Cancel Webinar", *webinar)
        gone = await acme.run("call", "Get webinar", *webinar)

    assert one["webinarKey"] in [item["webinarKey"] for item in listed]
    assert again["registrantKey"] == made["registrantKey"] == details["registrantKey"]
    assert details["email"] == "bo.lind@example.com"
    assert made["registrantKey"] in [item["registrantKey"] for item in people]
    assert gone.code == 1 and "404" in gone.err


@BESIDE
async def test_calls_leave_polling_as_it_is(acme: Terminal, sim: Simulator, beside: bool) -> None:
    """What is registered by a call is news to the engine like any other."""
    await acme.run("run", "--once")
    async with perhaps(acme, beside):
        await called(acme, "createRegistrant", "--param", f"webinarKey={webinar_of(sim).webinar_key}", *PERSON)
    await acme.run("run", "--once")
    assert [event["type"] for event in events(acme)] == ["com.goto.registrant.added"]


async def test_a_body_comes_from_the_line_a_file_or_standard_input(acme: Terminal, sim: Simulator) -> None:
    span = {"startTime": "2096-04-01T10:00:00Z", "endTime": "2096-04-01T11:00:00Z"}
    body = json.dumps({"subject": "Kites", "times": [span], "timeZone": "UTC"})
    (acme.folder / "body.json").write_text(body)
    keys = {
        (await called(acme, "createWebinar", "--body", body))["webinarKey"],
        (await called(acme, "createWebinar", "--body", f"@{acme.folder / 'body.json'}"))["webinarKey"],
        (await called(acme, "createWebinar", "--body", "@-", answer=body))["webinarKey"],
    }
    assert keys <= {webinar.webinar_key for webinar in sim.world.webinars(key_of(sim))} and len(keys) == 3


async def test_a_note_goes_to_stderr_and_the_result_alone_to_stdout(goto: RecordingGoto, terminal: Terminal) -> None:
    goto.say((201, {"webinarKey": "4"}))
    times = '[{"startTime": "2096-04-01T10:00:00Z", "endTime": "2096-04-01T11:00:00Z"}]'
    said = await terminal.run("call", "createWebinar", "--param", "subject=Kites", "--param", f"times={times}")
    assert json.loads(said.out) == {"webinarKey": "4"} and "timeZone" in said.err


async def test_one_page_or_all_of_them(acme: Terminal, sim: Simulator) -> None:
    every = await called(acme, "getWebinars", *RANGE, "--all", "--size", "1")
    second = await called(acme, "getWebinars", *RANGE, "--page", "1", "--size", "1")
    assert len(every) > 1 and second["_embedded"]["webinars"] == every[1:2]
    assert second["page"] == {"size": 1, "totalElements": len(every), "totalPages": len(every), "number": 1}
    past = ("--param", "fromTime=1999-01-01T00:00:00Z", "--param", "toTime=2000-01-01T00:00:00Z")
    assert await called(acme, "getWebinars", *past, "--all") == []


@BESIDE
async def test_a_list_of_any_length_comes_through(goto: RecordingGoto, terminal: Terminal, beside: bool) -> None:
    """However many items there are, they go through the control socket in slices."""
    people = [{"registrantKey": n, "email": f"{n}@example.com", "note": "x" * 2_000} for n in range(900)]
    async with perhaps(terminal, beside):
        goto.say(people)
        found = await called(terminal, "getAllRegistrantsForWebinar", "--param", "webinarKey=4")
    assert [person["registrantKey"] for person in found] == [str(n) for n in range(900)]


# ── whose connection ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_several_connections_one_has_to_be_named(terminal: Terminal, sim: Simulator) -> None:
    pats = [sim.world.organizers[number].pat for number in (0, 1)]
    terminal.write(*[f'[[connections]]\nname = "{name}"\npat = "{pat}"' for name, pat in zip("ab", pats, strict=True)])
    nobody = await terminal.run("call", "getWebinars", *RANGE)
    wrong = await terminal.run("call", "getWebinars", *RANGE, "--connection", "c")
    found = await called(terminal, "getWebinars", *RANGE, "--connection", "b", "--all")
    assert nobody.code == 2 and "a, b" in nobody.err
    assert wrong.code == 2 and '"c"' in wrong.err
    assert {item["organizerKey"] for item in found} == {key_of(sim, 1)}


async def test_a_connection_without_a_login_is_told_to_log_in(terminal: Terminal, sim: Simulator) -> None:
    terminal.write('[[connections]]\nname = "acme"')
    said = await terminal.run("call", "getWebinars", *RANGE)
    assert said.code == 3 and "poller login acme" in said.err


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("--list",)),
        (("getWebinarz",), ('did you mean "getWebinar', "--list")),
        (("getWebinars",), ("fromTime", "toTime")),
        (("getWebinar", "--param", "webinarKey"), ("--param", "name=value")),
        (("getWebinar", "--param", "webinarKey=1", "--param", "webinarKey=2"), ("twice",)),
        (("createRegistrant", "--param", "webinarKey=1", "--body", "{"), ("--body is not JSON",)),
        (("getWebinar", "--param", "webinarKey=1", "--all"), ("no list",)),
        (("getWebinar", "--param", "webinarKey=1", "--page", "1"), ("everything at once",)),
        (("getWebinars", *RANGE, "--all", "--page", "1"), ("leave one of the two out",)),
        (("cancelWebinar", "--param", "webinarKey=1", "--all"), ("changes something",)),
        (("getWebinars", "--query", "a=b"), ("--query", "named operation")),
        (("GET", "/x", "--param", "a=b"), ("--param", "raw request")),
        (("GET", "https://evil.example/x"), ("never a host",)),
        (("GET", "/x", "--header", "Authorization=Bearer x"), ("Authorization", "leave it out")),
        (("GET", "/x", "--timeout", "soon"), ("--timeout", "soon")),
        (("GET", "/x", "--timeout", "0"), ("--timeout", "longer than 0")),
        (("GET", "/x", "--retries", "1", "--retry-delay", "1s", "--backoff"), ("choose one",)),
        (("GET", "/x", "--retry-all"), ("--retries",)),
        (("POST", "/x", "--body", "a", "--form", "a=b"), ("one body",)),
        (("POST", "/x", "--file", "a=/nowhere/at/all"), ("/nowhere/at/all",)),
    ],
)
async def test_what_makes_no_sense_is_refused_before_goto_is_asked(
    goto: RecordingGoto, terminal: Terminal, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    said = await terminal.run("call", *arguments)
    assert said.code == (1 if "nowhere" in words[0] else 2) and said.out == ""
    assert all(word in said.err for word in words), said.err
    assert goto.asked == []


@pytest.mark.parametrize(
    "line", [("deleteMeetingSession", "--param", "sessionId=9"), ("DELETE", "/G2M/rest/organizers/55/sessions/9")]
)
async def test_what_erases_for_good_has_to_be_meant(
    goto: RecordingGoto, terminal: Terminal, line: tuple[str, ...]
) -> None:
    goto.say((204, b""))
    refused = await terminal.run("call", *line)
    assert refused.code == 2 and "--yes" in refused.err and goto.asked == []
    assert (await terminal.run("call", *line, "--yes")).code == 0
    assert goto.lines == ["DELETE /G2M/rest/organizers/55/sessions/9"]


@BESIDE
async def test_a_change_without_an_answer_is_told_as_unknown_and_not_repeated(
    goto: RecordingGoto, terminal: Terminal, beside: bool
) -> None:
    async with perhaps(terminal, beside):
        goto.say(CUT)
        said = await terminal.run("call", "createRegistrant", "--param", "webinarKey=4", *PERSON)
        made = goto.lines.count("POST /G2W/rest/v2/organizers/55/webinars/4/registrants")
    assert said.code == 1 and "getAllRegistrantsForWebinar" in said.err and made == 1


# ── subscriptions of this engine ─────────────────────────────────────────────────────────────────────────────────────


async def test_only_subscriptions_that_point_here_are_deleted(goto: RecordingGoto, terminal: Terminal) -> None:
    here, there = "https://me.example/v1/goto/webhooks/t", "https://me.example.evil/v1/goto/webhooks/t"
    found = [{"userSubscriptionKey": key, "callbackUrl": url} for key, url in (("a", here), ("b", there), ("c", here))]
    unset = await terminal.run("call", "Delete Instanced Subscriptions")
    terminal.write('[[connections]]\nname = "acme"\npat = "pat"', '[http]\npublic_url = "https://me.example"')
    goto.say({"_embedded": {"userSubscriptions": [*found, {"userSubscriptionKey": "d"}]}}, (202, b""))

    assert await called(terminal, "Delete Instanced Subscriptions") == {"deleted": ["a", "c"]}
    assert unset.code == 2 and "public_url" in unset.err
    assert [(asked.line, asked.body) for asked in goto.asked[1:]] == [
        ("DELETE /G2W/rest/v2/userSubscriptions", b'["a","c"]')
    ]


# ── --list ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_list_groups_all_operations_with_what_they_take(terminal: Terminal) -> None:
    text = await terminal.run("call", "--list")
    records = json.loads((await terminal.run("call", "--list", "--json")).out)
    assert len(records) == 73 and all(record["operation"] in text.out for record in records)
    assert "\nRegistrants\n" in text.out and "fromTime*" in text.out and "needs --yes" in text.out
    one = json.loads((await terminal.run("call", "--list", "Add registrant", "--json")).out)
    assert [record["operation"] for record in one] == ["createRegistrant"]
    assert {"name": "email", "required": True, "takes": "e-mail address"} in one[0]["body"]


# ── raw requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


def bodies(said: Said) -> list[str]:
    return said.out.splitlines()


@BESIDE
async def test_a_raw_request_sends_what_it_is_told_and_prints_the_answer(
    goto: RecordingGoto, terminal: Terminal, beside: bool
) -> None:
    async with perhaps(terminal, beside):
        goto.say({"webinarKey": 6820277626085326123})
        line = ("POST", "/G2M/rest/x?a=1", "--query", "b=2 3", "--header", "X-Trace=t", "--body", '{"c": 4}')
        found = await called(terminal, *line)
    asked = next(asked for asked in goto.asked if asked.method == "POST")
    assert found == {"webinarKey": 6820277626085326123}
    assert (asked.path, asked.query, asked.json) == ("/G2M/rest/x", {"a": "1", "b": "2 3"}, {"c": 4})
    assert asked.headers["X-Trace"] == "t" and asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"].startswith("Bearer ")


async def test_forms_and_files(goto: RecordingGoto, terminal: Terminal) -> None:
    (terminal.folder / "photo.bin").write_bytes(b"\x00\xff" * 1_000_000)
    await called(terminal, "POST", "/x", "--form", "a=1 2")
    await called(terminal, "PUT", "/x", "--form", "a=1", "--file", f"photo={terminal.folder / 'photo.bin'}")
    form, file = goto.asked
    assert form.body == b"a=1+2" and form.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert b"\x00\xff" * 1_000_000 in file.body and b'name="photo"; filename="photo.bin"' in file.body


async def test_answers_are_printed_as_json_text_or_the_bytes_they_are(goto: RecordingGoto, terminal: Terminal) -> None:
    goto.say((200, b"plain \xc3\xa4"))
    assert (await terminal.run("call", "GET", "/x", "--response", "text")).out == "plain ä\n"
    assert goto.asked[0].headers["Accept"] == "*/*"
    wrong = await terminal.run("call", "GET", "/x")
    assert wrong.code == 1 and wrong.out == "" and "--response" in wrong.err
    goto.say((200, bytes(range(256)) * 4000))
    async with terminal.process("call", "GET", "/x", "--response", "binary") as process:
        out, _ = await process.communicate()
    assert out == bytes(range(256)) * 4000


async def test_a_read_is_repeated_as_often_as_allowed_and_a_write_is_not(
    goto: RecordingGoto, terminal: Terminal
) -> None:
    patient = ("--retries", "2", "--retry-delay", "1ms")
    goto.say((503, b""), (503, b""), {"a": 1})
    assert await called(terminal, "GET", "/x", *patient) == {"a": 1}
    assert len(goto.asked) == 3

    goto.asked.clear()
    goto.say((503, b""))
    assert (await terminal.run("call", "GET", "/x", *patient)).code == 1 and len(goto.asked) == 3

    goto.asked.clear()
    goto.say((503, b""), {"a": 1})
    said = await terminal.run("call", "POST", "/x", *patient)
    assert said.code == 1 and "Nobody knows" in said.err
    assert len(goto.asked) == 1

    goto.say((404, b""), {"a": 1})
    assert await called(terminal, "POST", "/x", *patient, "--retry-all") == {"a": 1}


async def test_one_attempt_takes_no_longer_than_it_may(goto: RecordingGoto, terminal: Terminal) -> None:
    goto.silent = True
    said = await terminal.run("call", "GET", "/x", "--timeout", "50ms")
    assert said.code == 1 and "0.05 s" in said.err


@BESIDE
async def test_debug_shows_the_exchange_without_people_and_secrets(
    goto: RecordingGoto, terminal: Terminal, beside: bool
) -> None:
    async with perhaps(terminal, beside):
        goto.say({"email": "eve@example.com", "lastName": "Adams", "joinUrl": "https://j/1", "webinarKey": 4})
        query = ("--query", "email=bo@example.com", "--query", "page=3")
        line = ("POST", "/G2M/rest/x", *query, "--body", '{"firstName": "Bo", "size": 7}')
        said = await terminal.run("call", *line, "--debug")
    assert "> POST /G2M/rest/x?email=…&page=3" in said.err and "< 200" in said.err
    assert '"size": 7' in said.err and '"webinarKey": 4' in said.err
    for secret in ("eve@", "bo@", "Adams", '"Bo"', "https://j/1", "A0", "A1"):
        assert secret not in said.err, secret
    assert json.loads(said.out)["email"] == "eve@example.com"
