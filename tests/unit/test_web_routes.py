"""What comes in over HTTP is checked by the same words that document it."""

from __future__ import annotations

import re

import pytest
from openapi_schema_validator import OAS31Validator

from poller.web.pages import PAGES
from poller.web.routes import Parameter, Problem, read, read_body
from poller.web.surface import BY_NAME, LIMIT, ROUTES, SUBSCRIBING, SYNCING, TYPE, WEBINAR_KEY

WAIT = Parameter("wait", "Whether to wait.", kind="boolean", default=False)
GROUP = Parameter("group", "Who.", choices=("registered", "absent"), default="registered")
NAME = Parameter("name", "A name.", required=True, longest=5)


def problem(parameter: Parameter, text: str) -> str:
    _, problems = read([parameter], [(parameter.name, text)])
    assert [found.parameter for found in problems] == [parameter.name]
    return problems[0].reason


def test_values_are_read_and_defaults_filled_in() -> None:
    found = read([LIMIT, WEBINAR_KEY, WAIT, GROUP, NAME], [("limit", "7"), ("wait", "1"), ("name", "abc")])
    assert found.problems == []
    assert found.values == {"limit": 7, "webinarKey": None, "wait": True, "group": "registered", "name": "abc"}


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("TRUE", True), ("0", False), ("false", False)]
)
def test_a_flag_is_written_in_a_few_ways(text: str, value: bool) -> None:
    assert read([WAIT], [("wait", text)]).values["wait"] is value


@pytest.mark.parametrize("text", ["seven", "7.5", "1e3", "٧", " 7", "0x7", "9" * 40])
def test_a_number_is_digits(text: str) -> None:
    assert problem(LIMIT, text) == "must be a whole number"


def test_numbers_have_bounds_that_are_named() -> None:
    assert problem(LIMIT, "0") == "must be at least 1"
    assert problem(LIMIT, "1001") == "must be at most 1000"


@pytest.mark.parametrize("key", ["abc", "12a", "1" * 21, "-1", "1\n"])
def test_a_key_is_digits_and_the_problem_says_so_without_the_value(key: str) -> None:
    reason = problem(WEBINAR_KEY, key)
    assert "all digits" in reason
    assert key not in reason


def test_choices_and_lengths_are_kept() -> None:
    assert problem(GROUP, "nobody") == "must be one of: registered, absent"
    assert problem(NAME, "abcdef") == "is longer than 5 characters"
    assert problem(WAIT, "yes") == "must be 1 or 0, true or false"


def test_what_is_required_must_be_there() -> None:
    assert read([NAME], []).problems == [Problem("name", "is missing")]


def test_an_empty_value_is_none() -> None:
    found = read([WEBINAR_KEY, LIMIT, NAME], [("webinarKey", ""), ("limit", ""), ("name", "")])
    assert (found.values["webinarKey"], found.values["limit"]) == (None, 100)
    assert found.problems == [Problem("name", "is missing")]


def test_unknown_names_are_left_alone_but_a_misspelt_filter_is_not() -> None:
    assert read([WEBINAR_KEY], [("api-version", "1"), ("code", "x")]).problems == []
    for spelling in ("webinarkey", "webinar_key", "WebinarKey"):
        assert read([WEBINAR_KEY], [(spelling, "1")]).problems == [Problem(spelling, "is written webinarKey")]


def test_a_list_may_be_repeated_and_separated_by_commas() -> None:
    found = read([TYPE], [("type", "registrant.added, webinar.*"), ("type", "webinar.*"), ("type", "")])
    assert found.values == {"type": ("registrant.added", "webinar.*")}
    assert read([LIMIT], [("limit", "1"), ("limit", "2")]).values == {"limit": 2}


def test_a_list_has_an_end() -> None:
    types = Parameter("type", "Types.", kind="strings")
    assert read([types], [("type", ",".join(map(str, range(50))))]).problems == []
    assert read([types], [("type", str(n)) for n in range(51)]).problems == [
        Problem("type", "has more than 50 entries")
    ]


def test_all_problems_are_told_at_once() -> None:
    found = read([LIMIT, GROUP, NAME], [("limit", "x"), ("group", "y")])
    assert [found.parameter for found in found.problems] == ["limit", "group", "name"]


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────

CALLBACK = "https://example.com/hook"


@pytest.mark.parametrize("name", ["callbackUrl", "targetUrl", "hookUrl"])
def test_a_subscription_takes_each_name_of_its_address(name: str) -> None:
    found = read_body(SUBSCRIBING, {name: CALLBACK, "trigger": "OnNewWebinar", "webinarKey": "77"})
    assert found.problems == []
    assert found.values == {
        "callbackUrl": CALLBACK,
        "trigger": "OnNewWebinar",
        "types": None,
        "webinarKey": "77",
        "organizerKey": None,
        "format": "item",
    }


def test_two_names_of_one_address_must_agree() -> None:
    assert read_body(SUBSCRIBING, {"hookUrl": CALLBACK, "targetUrl": CALLBACK}).problems == []
    (problem,) = read_body(SUBSCRIBING, {"hookUrl": CALLBACK, "targetUrl": CALLBACK + "/other"}).problems
    assert problem.parameter == "targetUrl"


@pytest.mark.parametrize(
    ("body", "parameter", "reason"),
    [
        ([], "", "must be a JSON object"),
        ({"trigger": "a"}, "callbackUrl", "is missing"),
        ({"callbackUrl": "", "trigger": "a"}, "callbackUrl", "is missing"),
        ({"callbackUrl": 5, "trigger": "a"}, "callbackUrl", "must be a text"),
        ({"callbackUrl": CALLBACK, "trigger": "a", "format": "xml"}, "format", "must be one of"),
        ({"callbackUrl": CALLBACK, "trigger": "a", "colour": 1}, "colour", "is not known; known: callbackUrl"),
        ({"callbackUrl": CALLBACK, "webinarKey": 77}, "webinarKey", "must be a text"),
        ({"callbackUrl": CALLBACK, "types": "registrant.added"}, "types", "must be a list of texts"),
    ],
)
def test_a_wrong_body_is_told_by_its_field(body: object, parameter: str, reason: str) -> None:
    problems = read_body(SUBSCRIBING, body).problems
    assert problems[0].parameter == parameter
    assert reason in problems[0].reason


def test_a_body_takes_json_values_not_texts_of_them() -> None:
    assert read_body(SYNCING, {"wait": True}).values["wait"] is True
    assert read_body(SYNCING, {"wait": "true"}).problems == [Problem("wait", "must be true or false")]
    assert read_body(SYNCING, {"connection": None}).values == {"connection": None, "webinarKey": None, "wait": False}
    many = Parameter("types", "Types.", "body", "strings", choices=("a", "b"))
    assert read_body([many], {"types": ["a", "b"]}).values == {"types": ("a", "b")}
    assert read_body([many], {"types": "a"}).problems == [Problem("types", "must be a list of texts")]
    assert read_body([many], {"types": ["c"]}).problems == [Problem("types", "must be one of: a, b")]
    number = Parameter("n", "A number.", "body", "integer", maximum=3)
    assert read_body([number], {"n": 3}).values == {"n": 3}
    assert read_body([number], {"n": True}).problems == [Problem("n", "must be a whole number")]


# ── the table of routes ──────────────────────────────────────────────────────────────────────────────────────────────


def test_each_route_has_a_name_of_its_own_and_describes_the_parts_of_its_path() -> None:
    assert len(BY_NAME) == len(ROUTES) + len(PAGES)
    for route in BY_NAME.values():
        assert [parameter.name for parameter in route.of("path")] == re.findall(r"{(\w+)}", route.path), route.name
        assert not route.of("body") or route.method == "POST"


QUERY = list(dict.fromkeys(parameter for route in BY_NAME.values() for parameter in route.of("query")))


@pytest.mark.parametrize("parameter", QUERY, ids=lambda parameter: parameter.name)
def test_the_documented_schema_of_a_parameter_accepts_what_the_check_accepts(parameter: Parameter) -> None:
    schema = OAS31Validator(parameter.schema())
    texts = ["1", "0", "100", "1000", "5000000", "-1", "abc", "absent", "csv", "true", "4255157664015486220"]
    for text in texts:
        found = read([parameter], [(parameter.name, text)])
        value = _decoded(text) if found.problems else found.values[parameter.name]
        value = list(value) if isinstance(value, tuple) else value
        assert schema.is_valid(value) == (not found.problems), (text, value)


def _decoded(text: str) -> object:
    return int(text) if text.lstrip("-").isdigit() else text
