"""What people read when their settings are wrong: file, line, key, and how to mend it."""

from __future__ import annotations

import errno
import os
import re
import tomllib
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from poller.errors import UsageError
from poller.settings import Settings
from poller.settings.example import example_text


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLLER_CONFIG", "POLLER_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(text: str | bytes) -> list[str]:
    """The lines of the message about a file `poller.toml` with this text."""
    Path("poller.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        Settings.load()
    return str(raised.value).split("\n")


def told_of(mapping: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as raised:
        Settings.parse(mapping)
    return str(raised.value).split("\n")


# ------------------------------------------------------------------------------------------ the file


def test_a_missing_file_names_the_command_that_writes_one() -> None:
    with pytest.raises(UsageError) as raised:
        Settings.load()
    assert str(raised.value) == (
        "poller.toml: there is no such settings file; `poller init` writes one, "
        "and --config or POLLER_CONFIG names another"
    )
    with pytest.raises(UsageError, match=r"^/nowhere/x\.toml: there is no such .* `poller init /nowhere/x\.toml`"):
        Settings.load("/nowhere/x.toml")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        Settings.load(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: is a folder; name the settings file in it, such as {tmp_path}/poller.toml"
    )


def test_an_unreadable_file_says_why() -> None:
    path = Path("poller.toml")
    path.symlink_to(path.name)  # a circle, which not even root can read
    with pytest.raises(UsageError) as raised:
        Settings.load()
    why = os.strerror(errno.ELOOP)
    assert str(raised.value) == f"poller.toml: the settings file cannot be read: {why}"


def test_a_file_in_another_encoding_names_the_line() -> None:
    assert told('[engine]\n# für\nstate = "x"'.encode("latin-1")) == [
        "poller.toml:2: is not UTF-8 text; save the file in that encoding"
    ]


def test_a_byte_order_mark_and_line_ends_of_windows_do_no_harm() -> None:
    text = "\ufeff[engine]\r\ninterval = 5\r\n"
    assert told(text) == ['poller.toml:2: engine.interval: 5 has no unit; write "5s" for seconds (units: s m h d w y)']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[engine]\ninterval = soon\n",
            'poller.toml:2: not valid TOML at column 12: invalid value; text needs quotes: interval = "120s"',
        ),
        (
            "[engine]\ninterval = 5m\n",
            "poller.toml:2: not valid TOML at column 13: expected newline or end of document after a statement; "
            'text needs quotes: interval = "120s"',
        ),
        (
            "[engine\n",
            "poller.toml:1: not valid TOML at column 8: expected ']' at the end of a table declaration",
        ),
        (
            "[engine]\n\n[engine]\n",
            "poller.toml:3: not valid TOML at column 8: cannot declare [engine] twice",
        ),
        ('\nx = "abc', "poller.toml:2: not valid TOML: unterminated string"),
    ],
)
def test_a_slip_of_toml_names_the_line(text: str, message: str) -> None:
    assert told(text) == [message]


# ------------------------------------------------------------------------------------------ one message for all


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_ENGINE__GRACE", "-1s")
    text = """
[engine]
interval = 120
stat = "x"

[goto]
client_id = "abc"

[[connections]]
name = "acme"
produkts = ["webinar"]

[[connections]]
name = "acme"
active = "perhaps"

[[triggers]]
name = "signups"
sinks = [
  "console",
  "cmr",
]

[[sinks]]
name = "crm"
type = "webhok"

[[sinks]]
name = "console"
type = "stdout"
pretti = true
"""
    assert told(text) == [
        'environment: POLLER_ENGINE__GRACE: "-1s" is negative; a duration is 0 or more, such as "120s"',
        'poller.toml:3: engine.interval: 120 has no unit; write "120s" for seconds (units: s m h d w y)',
        'poller.toml:4: engine.stat: unknown key; did you mean "state"?',
        'poller.toml:11: connections[0].produkts: unknown key; did you mean "products"?',
        'poller.toml:14: connections[1].name: the name "acme" is taken by connections[0]; '
        "names are identities, choose another",
        "poller.toml:15: connections[1].active: takes true or false without quotes, not text",
        'poller.toml:21: triggers[0].sinks[1]: there is no sink "cmr"; did you mean "crm"?',
        'poller.toml:26: sinks[0].type: there is no sink type "webhok"; did you mean "webhook"?',
        'poller.toml:31: sinks[1].pretti: unknown key; did you mean "pretty"?',
    ]


# ------------------------------------------------------------------------------------------ one mistake each

MISTAKES = [
    # keys in the wrong place, tables of the wrong shape
    ("[engin]", 'poller.toml:1: engin: unknown key; did you mean "engine"?'),
    ('client_id = "a"', "poller.toml:1: client_id: unknown key here; it belongs under [goto]"),
    ("[engine]\nper_day = 1", "poller.toml:2: engine.per_day: unknown key here; it belongs under [limits]"),
    (
        '[goto]\nproducts = ["webinar"]',
        "poller.toml:2: goto.products: unknown key here; it belongs under [[connections]]",
    ),
    (
        '[connections]\nname = "x"',
        "poller.toml:1: connections: takes tables, each under a header of its own in double brackets "
        "([[connections]]), not a table",
    ),
    (
        'sinks = "console"',
        "poller.toml:1: sinks: takes tables, each under a header of its own in double brackets ([[sinks]]), not text",
    ),
    ("[[engine]]", "poller.toml:1: engine: takes one table under the header [engine], not a list"),
    (
        'triggers = ["x"]',
        "poller.toml:1: triggers[0]: takes a table of keys and values, not text",
    ),
    (
        "_env_file = 1",
        "poller.toml:1: _env_file: unknown key;"
        " known: engine, goto, limits, http, webhooks, connections, triggers, sinks",
    ),
    # values of the wrong kind or out of range
    ("[engine]\nstate = 5", 'poller.toml:2: engine.state: takes a path in quotes, such as "data/poller.db"'),
    ("[engine]\ngrace = true", 'poller.toml:2: engine.grace: takes a duration in quotes, such as "120s"'),
    ('[engine]\nretention = "0s"', 'poller.toml:2: engine.retention: must be longer than 0, such as "10s"'),
    ("[engine]\nmax_body = 0", "poller.toml:2: engine.max_body: must be greater than 0, not 0"),
    (
        '[engine]\nmax_body = "big"',
        'poller.toml:2: engine.max_body: "big" is not a size; write one such as "64MB", "500kB" or a number of bytes',
    ),
    ("[engine]\npoll_concurrency = 0", "poller.toml:2: engine.poll_concurrency: must be greater than 0, not 0"),
    ("[engine]\npoll_concurrency = 9999", "poller.toml:2: engine.poll_concurrency: must be at most 1000, not 9999"),
    (
        '[engine]\ndisplay_timezone = "Europe/Berln"',
        'poller.toml:2: engine.display_timezone: "Europe/Berln" is no time zone; did you mean "Europe/Berlin"?',
    ),
    (
        '[engine]\ndisplay_timezone = "../etc"',
        'poller.toml:2: engine.display_timezone: "../etc" is no time zone',
    ),
    ("[limits]\nper_day = -1", "poller.toml:2: limits.per_day: must be at least 0, not -1"),
    ("[limits]\nper_day = nan", "poller.toml:2: limits.per_day: takes a whole number such as 10, not nan"),
    ("[limits]\nper_day = 1.5", "poller.toml:2: limits.per_day: takes a whole number such as 10, not 1.5"),
    ('[limits]\nper_day = "ten"', "poller.toml:2: limits.per_day: takes a whole number such as 10, not text"),
    (
        "[limits]\nper_day = true",
        "poller.toml:2: limits.per_day: takes a whole number such as 10, not true or false",
    ),
    (
        '[limits]\nprofile = "publishd"',
        'poller.toml:2: limits.profile: takes "safe", "published", "power-automate" or "developer", '
        'not "publishd"; did you mean "published"?',
    ),
    (
        '[limits]\nmaintenance = "Tue 07:00-08:00"',
        'poller.toml:2: limits.maintenance: takes a list in brackets, such as maintenance = ["…"], not text',
    ),
    (
        '[limits]\nmaintenance = ["Tue 07:00-08:00", "Foo"]',
        'poller.toml:2: limits.maintenance[1]: "Foo" is not a weekly window; write one such as "Tue 07:00-08:00" (UTC)',
    ),
    # addresses
    (
        '[goto]\napi_url = "http://api.example.com"',
        "poller.toml:2: goto.api_url: would send secrets unencrypted; write https:// (http:// is for 127.0.0.1 only)",
    ),
    (
        '[goto]\nauth_url = "api.example.com"',
        "poller.toml:2: goto.auth_url: is not a web address; write one such as https://example.com",
    ),
    (
        '[goto]\nauth_url = "https://[::1"',
        "poller.toml:2: goto.auth_url: is not a URL; write one such as https://example.com",
    ),
    (
        '[engine]\nheartbeat_url = "ftp://example.com"',
        "poller.toml:2: engine.heartbeat_url: is not a web address; write one such as https://example.com",
    ),
    ('[goto]\nscopes = " "', "poller.toml:2: goto.scopes: must not be empty"),
    (
        "[http]\nlisten = 8470",
        'poller.toml:2: http.listen: takes text in quotes, such as listen = "…", not a whole number',
    ),
    (
        '[http]\nlisten = ":8470"',
        'poller.toml:2: http.listen: ":8470" is not an address; write host and port, such as "127.0.0.1:8470"',
    ),
    (
        '[http]\nlisten = "0.0.0.0:8470"',
        "poller.toml:2: http.listen: 0.0.0.0 can be reached from other machines, which takes a key; "
        'add api_keys = ["env:POLLER_API_KEY"], or listen on 127.0.0.1',
    ),
    (
        '[http]\napi_keys = "env:KEY"',
        'poller.toml:2: http.api_keys: takes a list in brackets, such as api_keys = ["…"], not text',
    ),
    # connections
    (
        "[[connections]]\nactive = false",
        'poller.toml:1: connections[0].name: is missing; add a line such as name = "…"',
    ),
    ('[[connections]]\nname = " "\nactive = false', "poller.toml:2: connections[0].name: must not be empty"),
    (
        '[[connections]]\nname = "my own"\nactive = false',
        'poller.toml:2: connections[0].name: "my own" is not a usable name; '
        "use letters, digits and . _ - @ + without spaces",
    ),
    (
        '[[connections]]\nname = "acme"',
        "poller.toml: goto.client_id: is needed by connections[0]; "
        'write the id of your OAuth client: client_id = "…" under [goto]',
    ),
    (
        '[[connections]]\nname = "a"\nactive = false\nstart = "yesterday"',
        'poller.toml:4: connections[0].start: "yesterday" is no start; write "now", "all", "2026-01-31" or "P1Y"',
    ),
    (
        '[[connections]]\nname = "a"\nactive = false\nproducts = ["webinar", "webinars"]',
        'poller.toml:4: connections[0].products[1]: takes "webinar" or "meeting", not "webinars"',
    ),
    (
        '[[connections]]\nname = "a"\nactive = false\nproducts = []',
        "poller.toml:4: connections[0].products: must name at least one",
    ),
    (
        '[[connections]]\nname = "a"\nactive = false\norganizers = ["x*"]',
        "poller.toml:1: connections[0]: organizers and exclude_organizers choose within an account; add account = true",
    ),
    # triggers
    (
        '[[triggers]]\nname = "t"\non = ["registrant.add"]',
        'poller.toml:3: triggers[0].on[0]: no event has the type "registrant.add"; did you mean "registrant.added"?',
    ),
    (
        '[[triggers]]\nname = "t"\non = ["com.goto.meeting.finished.*"]',
        'poller.toml:3: triggers[0].on[0]: no event has the type "com.goto.meeting.finished.*"',
    ),
    (
        '[[triggers]]\nname = "t"\non = "registrant.*"',
        'poller.toml:3: triggers[0].on: takes a list in brackets, such as on = ["…"], not text',
    ),
    (
        '[[triggers]]\nname = "t"\nwhen = "data.status = \'APPROVED\'"',
        "poller.toml:3: triggers[0].when: is not JMESPath from character 13 on; "
        "write a condition such as \"data.status == 'APPROVED'\"",
    ),
    (
        '[[triggers]]\nname = "t"\nwhen = "a && !contain(b, `1`)"',
        'poller.toml:3: triggers[0].when: calls contain(), which JMESPath does not have; did you mean "contains"?',
    ),
    (
        '[[triggers]]\nname = "t"\nsinks = ["crm"]',
        'poller.toml:3: triggers[0].sinks[0]: there is no sink "crm"; add it as [[sinks]]',
    ),
    (
        '[[connections]]\nname = "acme"\nactive = false\n[[triggers]]\nname = "t"\nconnections = ["x*", "acne"]',
        'poller.toml:6: triggers[0].connections[1]: there is no connection "acne"; did you mean "acme"?',
    ),
    ('[[triggers]]\nname = "t"\nflood = -1', "poller.toml:3: triggers[0].flood: must be at least 0, not -1"),
    # sinks
    (
        '[[sinks]]\nname = "a"',
        "poller.toml:1: sinks[0].type: is missing or no text; known: file, function, ",
    ),
    ('[[sinks]]\ntype = "stdout"', 'poller.toml:1: sinks[0].name: is missing; add a line such as name = "…"'),
    (
        '[[sinks]]\nname = "a"\ntype = "file"',
        'poller.toml:1: sinks[0].path: is missing; add a line such as path = "…"',
    ),
    (
        '[[sinks]]\nname = "a"\ntype = "webhook"\nurl = "https://example.com"\ncontent_mode = "binry"',
        'poller.toml:5: sinks[0].content_mode: takes "structured" or "binary", not "binry"',
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line(text: str, message: str) -> None:
    (line,) = told(text)
    assert line.startswith(message)


def test_a_name_may_be_used_once_for_each_kind() -> None:
    named = {"name": "acme"}
    Settings.parse({"connections": [{**named, "active": False}], "sinks": [{**named, "type": "stdout"}]})
    twice = [{"name": "same"}, {"name": "other"}, {"name": "same"}]
    assert told_of({"triggers": twice}) == [
        'settings: triggers[2].name: the name "same" is taken by triggers[0]; names are identities, choose another'
    ]


def test_an_address_others_can_reach_is_fine_with_a_key() -> None:
    http = Settings.parse({"http": {"listen": "0.0.0.0:8470", "api_keys": ["some key"]}}).http
    assert http.address == ("0.0.0.0", 8470)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_addresses_of_this_machine_need_no_key(host: str) -> None:
    assert Settings.parse({"http": {"listen": f"{host}:0"}}).http.address is not None


# ------------------------------------------------------------------------------------------ the environment


def test_a_variable_that_means_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_ENGINE__INTERVALL", "5s")
    assert told("") == [
        'environment: POLLER_ENGINE__INTERVALL: unknown setting; did you mean "POLLER_ENGINE__INTERVAL"?'
    ]


@pytest.mark.parametrize("name", ["POLLER_LIMITS__MAINTENANCE", "POLLER_HTTP__API_KEYS"])
def test_a_list_cannot_come_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert told("") == [f"environment: {name}: is a list; write it in the settings file"]


def test_a_variable_is_named_rather_than_the_line_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_LIMITS__PER_SECOND", "many")
    assert told("[limits]\nper_second = 5") == [
        "environment: POLLER_LIMITS__PER_SECOND: takes a whole number such as 10, not text"
    ]


# ------------------------------------------------------------------------------------------ what must not be told

LEAKS = [
    '[http]\napi_keys = "hunter2"',
    "[http]\napi_keys = [4711]",
    "[http]\napi_keys = 4711",
    '[goto]\napi_url = "http://me:hunter2@api.example.com"',
    '[goto]\nproxy = "socks5://me:hunter2@proxy.example.com"',
    "[goto]\nclient_secret = 4711",
    '[goto]\nclient_secret = ["hunter2"]',
    '[goto]\nclient_secrt = "hunter2"',
    "[goto]\nclient_id = 4711",
    '[engine]\nheartbeat_url = "htps://hc.example.com/hunter2"',
    '[[sinks]]\nname = "a"\ntype = "webhook"\nurl = "https://example.com"\nheaders = {X-Token = 4711}',
    '[[sinks]]\nname = "a"\ntype = "webhook"\nurl = "https://example.com"\nheaders = "X-Token: hunter2"',
    '[[sinks]]\nname = "a"\ntype = "webhook"\nurl = "htps://me:hunter2@example.com"',
    '[[sinks]]\nname = "a"\ntype = "webhok"\nsecret = "hunter2"',
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_secret_is_repeated_in_a_message(text: str) -> None:
    lines = "\n".join(told(text))
    assert not re.search("hunter2|4711", lines)


@pytest.mark.parametrize("text", [*LEAKS, *(text for text, _ in MISTAKES)])
def test_no_wording_of_the_validating_library_gets_through(text: str) -> None:
    lines = "\n".join(told(text))
    assert not re.search(r"(?i)pydantic|input should|value error|validation error|type=|traceback", lines)


# ---------------------------------------------------------------------------------------- every key, every wrong value

WRONG: list[Any] = [
    True, -1, 0, 1.5, float("nan"), 10**30, "", " ", "x", "http://[", "\x00", "env:", "9" * 5000,
    [], [5], [[]], [{}], {}, {"x": 1}, date(2026, 1, 1), time(1, 2),
]  # fmt: skip


def replaced(tables: dict[str, Any], wrong: Any) -> Iterator[dict[str, Any]]:
    """The settings with each table, list and key in turn replaced by something wrong."""
    for name, table in tables.items():
        yield {**tables, name: wrong}
        if isinstance(table, dict):
            yield from ({**tables, name: {**table, key: wrong}} for key in table)
        else:
            for i, entry in enumerate(table):
                rest = [*table[:i], *table[i + 1 :]]
                yield from ({**tables, name: [{**entry, key: wrong}, *rest]} for key in entry)


@pytest.mark.parametrize("wrong", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_nothing_people_write_ends_in_a_traceback(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOTO_CLIENT_SECRET", "GOTO_PAT", "POLLER_KEY", "POLLER_API_KEY", "CRM_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "some value")
    text = re.sub(r"^#(?=[\[a-z])", "", example_text(), flags=re.MULTILINE)
    tables = tomllib.loads(text.replace('client_id = ""', 'client_id = "abc"'))
    tables["sinks"] = [sink for sink in tables["sinks"] if sink["type"] in ("stdout", "file", "webhook", "function")]
    refused = 0
    for mapping in replaced(tables, wrong):
        try:
            Settings.parse(mapping)
        except UsageError as err:
            refused += 1
            assert not re.search(r"(?i)pydantic|input should|value error|validation error", str(err))
    assert refused > 10
