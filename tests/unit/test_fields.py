"""Values people write: what is read as what, and what they are told about the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from poller.errors import UsageError
from poller.fields import (
    LONGEST,
    Duration,
    FieldError,
    LocalPath,
    PositiveDuration,
    Secret,
    Size,
    Start,
    StartFrom,
    WeeklyWindow,
    format_duration,
    parse_duration,
    parse_size,
    parse_start,
    parse_window,
    relative_to,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", 1.5 * MINUTE),
        ("5m", 5 * MINUTE),
        ("2h", 120 * MINUTE),
        ("7d", 7 * DAY),
        ("2w", 14 * DAY),
        ("1y", 365 * DAY),
        ("1h30m", 90 * MINUTE),
        ("1h 30m", 90 * MINUTE),
        ("1.5h", 90 * MINUTE),
        ("200ms", timedelta(milliseconds=200)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        (" 5m ", 5 * MINUTE),
        ("PT5M", 5 * MINUTE),
        ("P1Y", 365 * DAY),
        ("P1M", 30 * DAY),
        ("P1W", 7 * DAY),
        ("P1DT2H3M4.5S", DAY + 123 * MINUTE + timedelta(seconds=4.5)),
        ("pt5m", 5 * MINUTE),
        ("100y", LONGEST),
    ],
)
def test_a_duration_is_read_in_short_form_and_as_iso_8601(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("-5s", '"-5s" is negative; a duration is 0 or more, such as "120s"'),
        ("120", '120 has no unit; write "120s" for seconds (units: s m h d w y)'),
        ("1.5", '1.5 has no unit; write "1.5s" for seconds (units: s m h d w y)'),
        ("soon", '"soon" is not a duration; write one such as "90s", "5m", "2h", "7d", "1y" or "PT5M"'),
        ("5 minutes", '"5 minutes" is not a duration'),
        ("5M", '"5M" is not a duration'),
        ("", '"" is not a duration'),
        ("P", '"P" is not a duration'),
        ("PT", '"PT" is not a duration'),
        ("P1YT", '"P1YT" is not a duration'),
        ("101y", '"101y" is longer than 100y'),
        ("9" * 400 + "d", "is longer than 100y"),
    ],
)
def test_what_is_no_duration_is_told_with_an_example(text: str, told: str) -> None:
    with pytest.raises(FieldError) as raised:
        parse_duration(text)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=0.5), "0.5s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(seconds=120), "2m"),
        (30 * DAY, "30d"),
        (730 * DAY, "2y"),
        (366 * DAY + 61 * MINUTE, "366d1h1m"),
    ],
)
def test_a_duration_is_shown_as_people_write_it(length: timedelta, text: str) -> None:
    assert format_duration(length) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_a_shown_duration_reads_back_as_itself(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MB", 64_000_000),
        ("500kB", 500_000),
        ("500 KB", 500_000),
        ("1.5GB", 1_500_000_000),
        ("2TB", 2 * 10**12),
        ("64MiB", 64 * 2**20),
        ("10B", 10),
        ("1024", 1024),
        ("0", 0),
    ],
)
def test_a_size_counts_in_thousands_unless_it_says_otherwise(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "64 megabytes", "1e9", "9" * 40 + "TB"])
def test_what_is_no_size_is_told_with_an_example(text: str) -> None:
    with pytest.raises(FieldError, match='is not a size; write one such as "64MB"'):
        parse_size(text)


class _Model(BaseModel):
    duration: Duration = timedelta(0)
    positive: PositiveDuration = timedelta(1)
    size: Size = 0
    path: LocalPath = Path("x")
    secret: Secret = Secret("x")
    start: StartFrom = Start("now")
    window: WeeklyWindow = parse_window("Mon 00:00-01:00")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("duration", 120, '120 has no unit; write "120s"'),
        ("duration", True, 'takes a duration in quotes, such as "120s"'),
        ("duration", ["5m"], "takes a duration in quotes"),
        ("duration", timedelta(seconds=-1), "takes a duration in quotes"),
        ("positive", "0s", 'must be longer than 0, such as "10s"'),
        ("size", True, 'takes a size, such as "64MB" or a number of bytes'),
        ("size", -1, '"-1" is not a size'),
        ("path", "", 'takes a path in quotes, such as "data/poller.db"'),
        ("path", 5, "takes a path in quotes"),
        ("path", "a\0b", "takes a path in quotes"),
        ("path", "~nobody-of-that-name/x", "the home folder is not known; write the whole path"),
        ("secret", 5, 'takes text in quotes: the secret itself, "env:NAME" or "file:PATH"'),
        ("secret", "", "is empty; write the secret itself"),
        ("secret", "env:", "is empty; write the secret itself"),
        ("start", 5, 'takes "now", "all", a date such as "2026-01-31" or a duration such as "P1Y"'),
        ("window", 5, 'takes text such as "Tue 07:00-08:00" (UTC)'),
    ],
)
def test_a_model_refuses_a_wrong_value_and_says_what_is_wanted(field: str, value: object, told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        _Model.model_validate({field: value})
    assert told in str(raised.value.errors()[0]["ctx"]["error"])


def test_a_model_takes_values_that_are_parsed_already() -> None:
    model = _Model(duration=DAY, size=5, path=Path("/a"), secret=Secret("s"), start=Start("all"))
    assert (model.duration, model.size, model.path, model.start) == (DAY, 5, Path("/a"), Start("all"))
    assert model.secret.reveal() == "s"


def test_a_model_reads_zero_and_plain_bytes_without_quotes() -> None:
    model = _Model.model_validate({"duration": 0, "size": 1000})
    assert (model.duration, model.size) == (timedelta(0), 1000)


def test_a_wrong_value_is_a_usage_error_for_the_command_line() -> None:
    with pytest.raises(UsageError):
        parse_duration("soon")


def test_a_relative_path_starts_at_the_folder_of_the_settings(tmp_path: Path) -> None:
    with relative_to(tmp_path):
        assert _Model.model_validate({"path": "data/x.db"}).path == tmp_path / "data/x.db"
        assert _Model.model_validate({"path": "/data/x.db"}).path == Path("/data/x.db")
        assert _Model.model_validate({"path": "~/x.db"}).path == Path.home() / "x.db"
    assert _Model.model_validate({"path": "x.db"}).path == Path("x.db")


def test_a_secret_is_taken_literally_from_a_variable_or_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET", "from the environment")
    (tmp_path / "secret.txt").write_text("from the file\n")
    with relative_to(tmp_path):
        secrets = [Secret("literal value"), Secret("env:SOME_SECRET"), Secret("file:secret.txt")]
    assert [s.reveal() for s in secrets] == ["literal value", "from the environment", "from the file"]
    assert [s.source for s in secrets] == ["literal", "env:SOME_SECRET", "file:secret.txt"]


def test_a_secret_never_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "hunter2")
    model = _Model.model_validate({"secret": "env:SOME_SECRET"})
    model.secret.reveal()
    literal = Secret("hunter2")
    shown = f"{model} {model!r} {model.model_dump_json()} {literal} {literal!r} {literal.source} {[literal]}"
    assert "hunter2" not in shown
    assert str(literal) == "********"


def test_a_secret_once_looked_up_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "old")
    secret = Secret("env:SOME_SECRET")
    assert secret.reveal() == "old"
    monkeypatch.setenv("SOME_SECRET", "new")
    assert secret.reveal() == "old"
    renewed = Secret("env:SOME_SECRET")
    renewed.reveal()
    assert renewed != secret


def test_a_secret_that_is_not_there_names_the_variable_or_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SECRET", raising=False)
    monkeypatch.setenv("EMPTY_SECRET", "")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    expected = {
        "env:NO_SECRET": "the environment variable NO_SECRET is not set; set it, or name another one",
        "env:EMPTY_SECRET": "the environment variable EMPTY_SECRET is empty",
        "file:gone": f"the secret's file {tmp_path / 'gone'} cannot be read: No such file or directory",
        "file:empty": f"the secret's file {tmp_path / 'empty'} is empty",
        "file:binary": f"the secret's file {tmp_path / 'binary'} cannot be read: it is not UTF-8 text",
    }
    for text, told in expected.items():
        with relative_to(tmp_path):
            secret = Secret(text)
        with pytest.raises(UsageError) as raised:
            secret.reveal()
        assert told in str(raised.value)


NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "shown"),
    [
        ("now", None, "now"),
        ("all", None, "all"),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31"),
        ("P1Y", datetime(2025, 3, 1, tzinfo=UTC), "1y"),
        ("90d", datetime(2025, 12, 1, tzinfo=UTC), "90d"),
        ("10h", datetime(2026, 2, 28, tzinfo=UTC), "10h"),
    ],
)
def test_a_start_counts_from_a_midnight_in_utc(text: str, since: datetime | None, shown: str) -> None:
    start = parse_start(text)
    assert start.since(NOW) == since
    assert str(start) == shown


def test_a_start_counts_back_in_utc_whatever_the_zone_of_now() -> None:
    late = datetime.fromisoformat("2026-03-01T23:30:00-05:00")  # the 2nd of March in UTC
    assert parse_start("1d").since(late) == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_start_may_be_a_date_of_tomls_own() -> None:
    expected = Start("date", day=date(2026, 1, 31))
    assert _Model.model_validate({"start": date(2026, 1, 31)}).start == expected
    assert _Model.model_validate({"start": datetime(2026, 1, 31, 8, tzinfo=UTC)}).start == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "-1d", ""])
def test_what_is_no_start_is_told_with_the_choices(text: str) -> None:
    with pytest.raises(FieldError) as raised:
        parse_start(text)
    assert str(raised.value) == f'"{text}" is no start; write "now", "all", "2026-01-31" or "P1Y"'


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        ("Tue 07:00-08:00", "2026-03-03T07:00:00+00:00", True),
        ("Tue 07:00-08:00", "2026-03-03T07:59:59.999+00:00", True),
        ("Tue 07:00-08:00", "2026-03-03T08:00:00+00:00", False),
        ("Tue 07:00-08:00", "2026-03-03T06:59:59+00:00", False),
        ("Tue 07:00-08:00", "2026-03-02T07:30:00+00:00", False),
        ("Tue 07:00-08:00", "2026-03-03T08:30:00+01:00", True),
        ("tuesday 7:00 - 8:00", "2026-03-03T07:30:00+00:00", True),
        ("Sun 23:00-01:00", "2026-03-01T23:30:00+00:00", True),
        ("Sun 23:00-01:00", "2026-03-02T00:30:00+00:00", True),
        ("Sun 23:00-01:00", "2026-03-01T00:30:00+00:00", False),
        ("Mon 00:00-24:00", "2026-03-02T23:59:00+00:00", True),
        ("Mon 00:00-24:00", "2026-03-03T00:00:00+00:00", False),
    ],
)
def test_a_window_recurs_every_week_in_utc(window: str, moment: str, inside: bool) -> None:
    assert parse_window(window).contains(datetime.fromisoformat(moment)) is inside


@pytest.mark.parametrize("text", ["", "Foo 07:00-08:00", "07:00-08:00", "Tue 7-8", "Tue", "on Tue 07:00-08:00"])
def test_what_is_no_window_is_told_with_an_example(text: str) -> None:
    with pytest.raises(FieldError) as raised:
        parse_window(text)
    assert str(raised.value) == f'"{text}" is not a weekly window; write one such as "Tue 07:00-08:00" (UTC)'


@pytest.mark.parametrize("text", ["Tue 07:00-07:00", "Tue 07:00-25:00", "Tue 07:60-08:00"])
def test_a_window_needs_two_times_of_day(text: str) -> None:
    with pytest.raises(FieldError, match="needs two different times between 00:00 and 24:00"):
        parse_window(text)
