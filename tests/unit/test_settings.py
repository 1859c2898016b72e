"""Reading settings: where they come from, what wins, and what is resolved."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from poller.errors import UsageError
from poller.fields import Secret, Start
from poller.settings import Engine, Settings

CLIENT = {"client_id": "abc", "client_secret": "s3cret"}
CONSOLE = {"name": "console", "type": "stdout"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLLER_CONFIG", "POLLER_KEY"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str, name: str = "poller.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_are_those_of_the_documentation(tmp_path: Path) -> None:
    settings = Settings.load(written(tmp_path, ""))
    engine, goto, limits = settings.engine, settings.goto, settings.limits
    assert engine.state == tmp_path / "poller.db"
    assert engine.interval == settings.interval == timedelta(seconds=120)
    assert (engine.nudge_interval, engine.max_interval) == (timedelta(seconds=2), timedelta(hours=1))
    assert (engine.poll_timeout, engine.grace) == (timedelta(seconds=60), timedelta(seconds=10))
    assert (engine.retention, engine.display_timezone) == (timedelta(days=30), "UTC")
    assert (engine.heartbeat_url, engine.key, engine.poll_concurrency) == ("", None, 8)
    assert engine.max_body == 64_000_000
    assert goto.api_url == goto.admin_url == "https://api.getgo.com"
    assert goto.room_url == "https://api.goto.com"
    assert goto.auth_url == "https://authentication.logmeininc.com"
    assert goto.redirect_uri == "http://127.0.0.1:8471/callback"
    assert (goto.scopes, goto.proxy, goto.ca_file) == ("collab: identity:scim.me", "", None)
    assert limits.profile == "safe"
    assert (limits.per_second, limits.per_operation_per_second) == (10, 10)
    assert (limits.per_connection_per_minute, limits.per_day) == (100, 0)
    assert [str(window) for window in limits.maintenance] == ["Tue 07:00-08:00"]
    assert settings.http.address == ("127.0.0.1", 8470)
    assert (settings.connections, settings.triggers, settings.sinks) == ((), (), ())


def test_a_connection_has_its_defaults_and_a_key_without_quotes_stays_exact() -> None:
    connection = {"name": "acme", "organizer_key": 5511973216410820613}
    (read,) = Settings.parse({"goto": CLIENT, "connections": [connection]}).connections
    assert read.organizer_key == "5511973216410820613"
    assert (read.account, read.organizers, read.exclude_organizers) == (False, ("*",), ())
    assert (read.products, read.active, read.start) == (("webinar",), True, Start("now"))
    assert (read.past, read.future) == (timedelta(days=1), timedelta(days=730))
    assert (read.count_hint, read.answers, read.enrich) == ("auto", False, False)
    assert (read.page_above, read.settle) == (20_000, timedelta(days=1))
    assert (read.pat, read.client_id) == (None, None)


def test_the_file_is_the_given_one_else_that_of_the_variable_else_poller_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, '[engine]\ninterval = "1s"')
    named = written(tmp_path, '[engine]\ninterval = "2s"', "named.toml")
    given = written(tmp_path, '[engine]\ninterval = "3s"', "given.toml")
    assert Settings.load().interval == timedelta(seconds=1)
    monkeypatch.setenv("POLLER_CONFIG", str(named))
    assert Settings.load().interval == timedelta(seconds=2)
    assert Settings.load(str(given)).interval == timedelta(seconds=3)
    assert Settings.load("given.toml").path == given


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "pat").write_text("token\n")
    text = """
        [engine]
        state = "data/state.db"
        [goto]
        client_id = "abc"
        ca_file = "/etc/ca.pem"
        [[connections]]
        name = "acme"
        pat = "file:pat"
        [[sinks]]
        name = "archive"
        type = "file"
        path = "events.jsonl"
    """
    settings = Settings.load(written(tmp_path, text))
    assert settings.engine.state == tmp_path / "data/state.db"
    assert settings.goto.ca_file == Path("/etc/ca.pem")
    assert settings.connections[0].pat is not None
    assert settings.connections[0].pat.reveal() == "token"
    assert settings.sinks[0].path == tmp_path / "events.jsonl"  # type: ignore[attr-defined]


def test_a_mapping_is_read_like_a_file(tmp_path: Path) -> None:
    settings = Settings.parse({"engine": {"state": "x.db", "interval": timedelta(seconds=5)}}, base=tmp_path)
    assert settings.engine.state == tmp_path / "x.db"
    assert settings.interval == timedelta(seconds=5)
    assert settings.path is None


# ------------------------------------------------------------------------------------------ environment


def test_a_variable_replaces_a_value_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_ENGINE__INTERVAL", "7s")
    monkeypatch.setenv("POLLER_LIMITS__PER_SECOND", "3")
    monkeypatch.setenv("POLLER_HTTP__LISTEN", "[::1]:9000")
    settings = Settings.load(written(tmp_path, '[engine]\ninterval = "1s"\ngrace = "4s"'))
    assert settings.interval == timedelta(seconds=7)
    assert settings.engine.grace == timedelta(seconds=4)
    assert settings.limits.per_second == 3
    assert settings.http.address == ("::1", 9000)


def test_a_program_that_embeds_the_engine_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_ENGINE__INTERVAL", "7s")
    assert Settings.parse({"engine": {"interval": "1s"}}).interval == timedelta(seconds=1)


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_ENGINE", '{"interval": "7s"}')
    monkeypatch.setenv("OTHER_ENGINE__INTERVAL", "7s")
    assert Settings.load(written(tmp_path, "")).interval == timedelta(seconds=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "from POLLER_KEY"), ('[engine]\nkey = "from the file"', "from the file")],
)
def test_the_key_of_the_tokens_is_that_of_the_file_else_poller_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("POLLER_KEY", "from POLLER_KEY")
    key = Settings.load(written(tmp_path, text)).engine.key
    assert key is not None
    assert key.reveal() == expected


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("profile", "limits", "seconds"),
    [
        ("safe", (10, 10, 100, 0), 120),
        ("published", (10, 0, 0, 0), 5),
        ("power-automate", (0, 0, 100, 0), 120),
        ("developer", (100, 10, 0, 500), 120),
    ],
)
def test_a_profile_sets_the_limits_and_the_interval(
    profile: str, limits: tuple[int, int, int, int], seconds: int
) -> None:
    settings = Settings.parse({"limits": {"profile": profile}})
    read = settings.limits
    assert limits == (
        read.per_second,
        read.per_operation_per_second,
        read.per_connection_per_minute,
        read.per_day,
    )
    assert settings.interval == settings.engine.interval == timedelta(seconds=seconds)


def test_what_is_written_wins_over_the_profile() -> None:
    mapping = {"limits": {"profile": "published", "per_day": 400}, "engine": {"interval": "0s"}}
    settings = Settings.parse(mapping)
    assert (settings.limits.per_second, settings.limits.per_day) == (10, 400)
    assert settings.interval == timedelta(0)


def test_a_variable_wins_over_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLLER_LIMITS__PROFILE", "developer")
    monkeypatch.setenv("POLLER_ENGINE__INTERVAL", "9s")
    settings = Settings.load(written(tmp_path, '[limits]\nprofile = "published"\nper_day = 100'))
    assert (settings.limits.per_second, settings.limits.per_day) == (100, 100)
    assert settings.interval == timedelta(seconds=9)


# ------------------------------------------------------------------------------------------ triggers, sinks, clients


def test_without_triggers_every_event_goes_to_every_sink() -> None:
    settings = Settings.parse({"sinks": [CONSOLE, {"name": "second", "type": "stdout"}]})
    (trigger,) = settings.effective_triggers()
    assert (trigger.name, trigger.on, trigger.sinks) == ("all", ("*",), ("console", "second"))
    assert (trigger.connections, trigger.webinars, trigger.when, trigger.flood) == (("*",), ("*",), "", 0)


def test_with_triggers_nothing_is_added_to_them() -> None:
    trigger = {"name": "signups", "on": ["registrant.*"], "sinks": ["console"]}
    settings = Settings.parse({"triggers": [trigger], "sinks": [CONSOLE]})
    assert [trigger.name for trigger in settings.effective_triggers()] == ["signups"]


@pytest.mark.parametrize(
    ("written_type", "read_type"),
    [
        ("registrant.added", "registrant.added"),
        ("com.goto.registrant.added", "registrant.added"),
        ("com.goto.registrant.*", "registrant.*"),
        ("*", "*"),
        ("webhook.survey.submitted", "webhook.survey.submitted"),
        ("com.goto.webinar.session.started", "webinar.session.started"),
        ("poller.sink.disabled", "poller.sink.disabled"),
        ("*.recovered", "*.recovered"),
    ],
)
def test_event_types_are_taken_with_and_without_the_prefix(written_type: str, read_type: str) -> None:
    (trigger,) = Settings.parse({"triggers": [{"name": "t", "on": [written_type]}]}).triggers
    assert trigger.on == (read_type,)


def test_each_sink_has_the_settings_of_its_type() -> None:
    url = "https://example.com/hooks"
    settings = Settings.parse({"sinks": [{**CONSOLE, "pretty": True}, {"name": "crm", "type": "webhook", "url": url}]})
    console, crm = (sink.model_dump() for sink in settings.sinks)
    assert console["pretty"] is True
    assert (crm["url"], crm["max_age"]) == (url, timedelta(days=3))


def test_a_connection_may_have_an_oauth_client_of_its_own() -> None:
    own = {"name": "own", "client_id": "def", "client_secret": "other"}
    settings = Settings.parse({"goto": CLIENT, "connections": [{"name": "shared"}, own]})
    shared_client, own_client = (settings.client_of(connection) for connection in settings.connections)
    assert shared_client == ("abc", Secret("s3cret"))
    assert own_client == ("def", Secret("other"))


def test_the_administration_follows_the_api_unless_it_is_set() -> None:
    simulator = "http://127.0.0.1:8480"
    assert Settings.parse({"goto": {"api_url": simulator}}).goto.admin_url == simulator
    both = Settings.parse({"goto": {"api_url": simulator, "admin_url": "https://admin.example.com/"}}).goto
    assert both.admin_url == "https://admin.example.com"


# ------------------------------------------------------------------------------------------ secrets

UNUSED: dict[str, dict[str, Any]] = {
    "a paused connection": {"connections": [{"name": "acme", "active": False, "pat": "env:NOT_THERE"}]},
    "a client nobody uses": {"goto": {"client_secret": "env:NOT_THERE"}},
    "a sink no trigger names": {
        "triggers": [{"name": "t", "sinks": []}],
        "sinks": [{"name": "crm", "type": "webhook", "url": "https://example.com", "secret": "env:NOT_THERE"}],
    },
    "an HTTP surface that is off": {"http": {"listen": "", "api_keys": ["env:NOT_THERE"]}},
}
USED: dict[str, dict[str, Any]] = {
    "goto.client_secret": {
        "goto": {"client_id": "abc", "client_secret": "env:NOT_THERE"},
        "connections": [{"name": "acme"}],
    },
    "connections[0].pat": {"goto": CLIENT, "connections": [{"name": "acme", "pat": "env:NOT_THERE"}]},
    "http.api_keys[0]": {"http": {"api_keys": ["env:NOT_THERE"]}},
    "http.read_only_keys[0]": {"http": {"read_only_keys": ["env:NOT_THERE"]}},
    "engine.key": {"engine": {"key": "env:NOT_THERE"}},
    "sinks[0].secret[0]": {
        "sinks": [{"name": "crm", "type": "webhook", "url": "https://example.com", "secret": "env:NOT_THERE"}]
    },
    "sinks[0].headers.X-Token": {
        "sinks": [
            {"name": "crm", "type": "webhook", "url": "https://example.com", "headers": {"X-Token": "env:NOT_THERE"}}
        ]
    },
}


@pytest.mark.parametrize("mapping", UNUSED.values(), ids=UNUSED.keys())
def test_a_secret_that_is_not_in_use_may_be_missing(mapping: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    Settings.parse(mapping)


@pytest.mark.parametrize(("key", "mapping"), USED.items(), ids=USED.keys())
def test_a_secret_in_use_that_is_missing_is_told_with_its_key(
    key: str, mapping: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(UsageError) as raised:
        Settings.parse(mapping)
    told = "the environment variable NOT_THERE is not set; set it, or name another one"
    assert str(raised.value) == f"settings: {key}: {told}"


def test_a_command_that_only_reads_the_state_needs_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    path = written(tmp_path, '[engine]\nkey = "env:NOT_THERE"')
    assert Settings.load(path, secrets=False).engine.state == tmp_path / "poller.db"


def test_settings_show_no_secret() -> None:
    mapping = {
        "engine": {"key": "hunter1", "heartbeat_url": "https://hc.example.com/hunter2"},
        "goto": {**CLIENT, "proxy": "http://me:hunter3@proxy.example.com"},
        "connections": [{"name": "acme", "pat": "hunter4"}],
        "sinks": [{"name": "crm", "type": "webhook", "url": "https://example.com", "secret": "whsec_aHVudGVyNQ=="}],
        "http": {"api_keys": ["hunter6"], "read_only_keys": ["hunter7"]},
    }
    shown = repr(Settings.parse(mapping))
    assert "hunter" not in shown
    assert "s3cret" not in shown
    assert "aHVudGVyNQ" not in shown


def test_settings_cannot_be_changed_in_place() -> None:
    settings = Settings.parse({})
    with pytest.raises(Exception, match="frozen"):
        settings.engine = Engine()  # type: ignore[misc]
