"""The catalogue of operations against the vendor's OpenAPI document, and against itself."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml

from poller.goto.operations import OPERATIONS, Operations, find, matching, writing
from poller.goto.operations.catalogue import spoken
from poller.goto.operations.kinds import KEY, MOMENT, NUMBER_KEY, TOKEN, kind_of, members
from poller.goto.operations.preparing import body_fields

SHARED = Path(__file__).parents[2].parent / "shared" / "goto"
DOCUMENT, MEETINGS = SHARED / "goto-webinar-openapi.yml", SHARED / "goto-meeting.md"
needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason=f"the vendor's OpenAPI document is not at {DOCUMENT}")
needs_meetings = pytest.mark.skipif(not MEETINGS.exists(), reason=f"the notes on GoTo Meeting are not at {MEETINGS}")

WEBINAR = [operation for operation in OPERATIONS.values() if operation.product == "webinar"]

# Where the document contradicts its own prose: an optional end of a range that is marked as required.
TOLERATED = {("getInSessionWebinars", "toTime")}
# Fields of a sequence stand in the prose of createWebinar and in none of the schemas; they replace `times`.
PROSE = {"NewWebinar": {"recurrenceStart", "recurrencePattern", "recurrenceEnd"}}
INSTEAD = {("createWebinar", "times")}


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load(DOCUMENT.read_text())


def declared(document: Any) -> dict[str, tuple[str, str, Any]]:
    """operationId → method, path, operation."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def looked_up(document: Any, node: Any) -> Any:
    if "$ref" not in node:
        return node
    found = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return looked_up(document, found)


@needs_document
def test_every_operation_of_the_document_is_there_with_its_method_and_path(document: Any) -> None:
    expected = {name: (method, path) for name, (method, path, _) in declared(document).items()}
    assert {operation.name: (operation.method, operation.path) for operation in WEBINAR} == expected
    assert len(expected) == 53


@needs_document
@pytest.mark.parametrize("operation", WEBINAR, ids=lambda operation: operation.name)
def test_parameters_are_those_of_the_document(operation: Any, document: Any) -> None:
    wanted = [
        looked_up(document, parameter) for parameter in declared(document)[operation.name][2].get("parameters", [])
    ]
    assert {(p.name, p.where) for p in operation.parameters} == {(p["name"], p["in"]) for p in wanted}
    for parameter in wanted:
        mine = operation.parameter(parameter["name"])
        required = bool(parameter.get("required")) and (operation.name, mine.name) not in TOLERATED
        assert mine.required == required, mine.name
        assert_same_type(document, mine.hint, parameter["schema"], mine.name)


@needs_document
@pytest.mark.parametrize("operation", [o for o in WEBINAR if o.body], ids=lambda operation: operation.name)
def test_bodies_are_those_of_the_document(operation: Any, document: Any) -> None:
    schema = declared(document)[operation.name][2]["requestBody"]["content"]["application/json"]["schema"]
    assert_same_type(document, operation.body, schema, operation.name)


@needs_document
def test_only_operations_with_a_body_in_the_document_have_one(document: Any) -> None:
    assert {o.name for o in WEBINAR if o.body} == {
        n for n, (_, _, o) in declared(document).items() if "requestBody" in o
    }


def assert_same_type(document: Any, hint: Any, schema: Any, where: str) -> None:
    schema = looked_up(document, schema)
    if hasattr(hint, "__total__"):
        assert_same_object(document, hint, schema, where)
    elif get_origin(hint) is list:
        assert schema["type"] == "array", where
        assert_same_type(document, get_args(hint)[0], schema["items"], where)
    elif get_origin(hint) is Literal:
        choices = set(get_args(hint))
        # Some choices stand in the prose only; none may be missing that the schema knows.
        assert choices == set(schema["enum"]) if "enum" in schema else schema["type"] == "string", where
    elif hint is bool:
        assert schema["type"] == "boolean", where
    else:
        assert_same_kind(kind_of(hint), schema, where)


def assert_same_kind(kind: Any, schema: Any, where: str) -> None:
    if kind in (KEY, NUMBER_KEY):
        assert schema["type"] == "integer" or where.endswith("Key"), where
    elif kind in (MOMENT, TOKEN):
        assert schema["type"] == "string", where
    else:
        assert {"int": "integer", "str": "string"}[kind.written] == schema["type"], where
        assert ("maximum" in schema) == (" to " in kind.says) and str(schema.get("maximum", "")) in kind.says, where


def assert_same_object(document: Any, shape: Any, schema: Any, where: str) -> None:
    known = {member.name: member for member in members(shape)}
    for part in schema.get("allOf", [schema]):
        part = looked_up(document, part)
        for name, inner in part.get("properties", {}).items():
            assert_same_type(document, known[name].hint, inner, f"{where}.{name}")
        for name in part.get("required", ()):
            assert known[name].required or (where, name) in INSTEAD, f"{where}.{name}"
    names = {name for part in schema.get("allOf", [schema]) for name in looked_up(document, part)["properties"]}
    assert set(known) - PROSE.get(shape.__name__, set()) == names, where
    lengths = re.findall(r"\((\d+) characters maximum\)", str(schema))
    assert all(f"at most {length}" in str([m.hint for m in known.values()]) for length in lengths), where


@needs_document
@pytest.mark.parametrize("operation", WEBINAR, ids=lambda operation: operation.name)
def test_results_have_the_fields_of_the_document(operation: Any, document: Any) -> None:
    answers = [answer.get("content") for code, answer in declared(document)[operation.name][2]["responses"].items()]
    schemas = [content["application/json"]["schema"] for content in answers if content]
    assert bool(schemas) == (operation.answer is not None)
    for schema in schemas:
        for alternative in schema.get("oneOf", [schema]):
            assert_has_fields(document, operation.answer, alternative, operation.name)


def assert_has_fields(document: Any, hint: Any, schema: Any, where: str) -> None:
    schema = looked_up(document, schema)
    if schema.get("type") == "array":
        lists = [part for part in (hint, *get_args(hint)) if get_origin(part) is list]
        assert lists, where
        if schema["items"].get("type") != "string":
            assert_has_fields(document, get_args(lists[0])[0], schema["items"], where)
    elif "properties" in schema:
        shapes = [part for part in (hint, *get_args(hint)) if hasattr(part, "__total__")]
        known = {member.name: member.hint for member in members(shapes[0])}
        assert set(schema["properties"]) <= set(known), where
        for name, inner in schema["properties"].items():
            assert_has_fields(document, known[name], inner, f"{where}.{name}")


@needs_meetings
def test_the_living_operations_of_goto_meeting_are_there_with_their_paths() -> None:
    """Those whose names the notes give; the deprecated ones have none."""
    text = MEETINGS.read_text()
    paths = dict(re.findall(r"^\| (\d+) \| ((?:GET|POST|PUT|DELETE) \S+)", text, re.MULTILINE))
    named = re.findall(r"(?:^| · |\n)(\d+) ([a-z]\w+)", text[text.index("## Names") : text.index("## Time")])
    wanted = {name: paths[number].replace("https://api.goto.com/meeting-room/v1", "") for number, name in named}
    mine = {o.name: f"{o.method} {o.path}" for o in OPERATIONS.values() if o.product != "webinar"}
    assert mine == wanted
    assert len(mine) == 19


def test_the_meeting_room_has_a_host_of_its_own() -> None:
    assert [o.name for o in OPERATIONS.values() if o.product == "room"] == ["getProfileMeeting"]


def test_no_name_or_alias_stands_for_two_operations() -> None:
    names = [spoken(name) for o in OPERATIONS.values() for name in (o.name, *o.aliases)]
    assert len(names) == len(set(names))
    assert find("get webinars") is find("Get_Webinars") is OPERATIONS["getWebinars"]
    assert find("getWebinarz") is None


def test_every_change_says_where_its_outcome_can_be_seen_and_nothing_else_does() -> None:
    searches = {"searchAssets", "searchAssetsForAdmin"}
    for operation in OPERATIONS.values():
        assert operation.writes == (operation.method != "GET" and operation.name not in searches), operation.name
        if " " not in operation.look and operation.look:
            assert not OPERATIONS[operation.look].writes


def test_exactly_three_operations_erase() -> None:
    assert {o.name for o in OPERATIONS.values() if o.erases} == {
        "deleteMeetingSession",
        "deleteMeetingSessionAttendees",
        "deleteMeetingSessionRecordings",
    }


def test_a_raw_path_is_recognised_as_the_operation_it_amounts_to() -> None:
    one = "/G2W/rest/v2/organizers/1/webinars/2"
    assert matching("get", one) is OPERATIONS["getWebinar"]
    assert matching("GET", f"{one}/registrants/fields") is OPERATIONS["getRegistrationFields"]
    assert matching("GET", f"{one}/registrants/3") is OPERATIONS["getRegistrant"]
    assert matching("DELETE", "/G2M/rest/organizers/1/sessions/2") is OPERATIONS["deleteMeetingSession"]
    assert matching("GET", "/G2M/rest/groups") is None


# ── the methods ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("file", sorted(writing.sources()))
def test_the_methods_are_those_the_catalogue_asks_for(file: str) -> None:
    """`python -m poller.goto.operations.writing` mends it."""
    written = Path(writing.__file__).with_name(file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(writing.sources()[file]))


def test_every_operation_is_a_method_and_every_paged_list_a_stream() -> None:
    for operation in OPERATIONS.values():
        assert inspect.iscoroutinefunction(getattr(Operations, operation.python_name))
        assert hasattr(Operations, f"stream_{operation.python_name}") == (operation.paging is not None)


def test_every_method_takes_what_its_operation_takes() -> None:
    for operation in OPERATIONS.values():
        parameters = inspect.signature(getattr(Operations, operation.python_name)).parameters
        given = sum(parameter.where != "header" for parameter in operation.parameters) + (operation.body is not None)
        assert len(parameters) - 1 == given, operation.name


def test_only_a_coorganizers_key_is_a_parameter_and_a_field_of_the_body() -> None:
    """`--param` says one of the two by its name; there it means the address, and co-organizers come in the body."""
    both = {
        operation.name: shared
        for operation in OPERATIONS.values()
        if (shared := {m.name for m in body_fields(operation)} & {p.name for p in operation.parameters})
    }
    assert both == {"createCoorganizers": {"organizerKey"}}
