"""Pure: the shapes in which an event is handed over. The CloudEvent itself, its data, a flat item, or a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from poller.errors import Refused
from poller.fields import FieldError
from poller.ports import Outgoing
from state.events import short_type

FormatName = Literal["cloudevent", "data", "item", "template"]

# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#3-envelope
CLOUDEVENT: Final = "application/cloudevents+json; charset=UTF-8"
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"

# What a template may name. `backfill` is on historic events only, so it has a value of its own for the others.
_VARIABLES: Final = frozenset(
    {"event", "short_type", "specversion", "id", "type", "source", "subject", "time", "observedtime", "connection"}
    | {"sequence", "partitionkey", "backfill", "datacontenttype", "data"}
)
_OF_THE_TYPE: Final = frozenset({"type", "short_type"})
_environment: Final = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


class Template:
    """A Jinja2 template over one event, sandboxed; a variable or field that does not exist is an error."""

    def __init__(self, text: str) -> None:
        """Raises FieldError for what is not Jinja2, or names a variable no event has."""
        try:
            tree = _environment.parse(text)
            # What is set in one branch only counts as undeclared for Jinja2; whether it is set shows in rendering.
            own = {name.name for name in tree.find_all(nodes.Name) if name.ctx == "store"}
            named = meta.find_undeclared_variables(tree)
            unknown = named - _VARIABLES - own
            self._template = _environment.from_string(text)
        except TemplateSyntaxError as err:
            raise FieldError(f"is not a Jinja2 template: line {err.lineno}: {err.message}") from err
        except TemplateError as err:
            raise FieldError(f"is not a Jinja2 template: {err}") from err
        if unknown:
            raise FieldError(
                f"names {', '.join(sorted(unknown))}, which no event has; fields are data.…,"
                f" variables are {', '.join(sorted(_VARIABLES))}"
            )
        # A topic or a routing key is mostly made of the type alone: then each is made once.
        self._is_by_type = named <= _OF_THE_TYPE and not _is_random(tree)
        self._known: dict[str, str] = {}

    def render(self, outgoing: Outgoing) -> str:
        """Raises Refused if this event lacks what the template needs: a repetition would not help."""
        if not self._is_by_type:
            return self._rendered(outgoing)
        if outgoing.type not in self._known:
            self._known[outgoing.type] = self._rendered(outgoing)
        return self._known[outgoing.type]

    def _rendered(self, outgoing: Outgoing) -> str:
        event = outgoing.event
        values = {"backfill": False, **event, "event": event, "short_type": short_type(outgoing.type)}
        try:
            return self._template.render(values)
        except UndefinedError as err:
            raise Refused(f"the template failed: {err.message}") from err
        except Exception as err:  # whatever an expression may raise; its text could repeat personal data
            raise Refused(f"the template failed: {type(err).__name__}") from err


def _is_random(tree: nodes.Template) -> bool:
    return any(found.name == "random" for found in tree.find_all(nodes.Filter))


class Encoded(NamedTuple):
    body: bytes
    content_type: str


class Format:
    """Turns events into what one sink hands over."""

    def __init__(self, name: FormatName = "cloudevent", template: str = "") -> None:
        """Raises FieldError for a template that cannot be compiled."""
        if name not in get_args(FormatName):
            raise FieldError(f'there is no format "{name}"; take one of: {", ".join(get_args(FormatName))}')
        self.name = name
        self._template = Template(template) if name == "template" else None

    def value(self, outgoing: Outgoing) -> Any:
        """The event as a Python value: a mapping, or the text of the template. Raises Refused as `Template.render`."""
        if self._template is not None:
            return self._template.render(outgoing)
        if self.name == "cloudevent":
            return outgoing.event
        return outgoing.event.get("data") if self.name == "data" else item(outgoing.event)

    def encode(self, outgoing: Outgoing) -> Encoded:
        """The event as bytes and their media type. Raises Refused as `Template.render`."""
        if self._template is not None:
            text = self._template.render(outgoing).encode()
            return Encoded(text, JSON if _is_json(text) else TEXT)
        if self.name == "cloudevent":
            return Encoded(outgoing.body, CLOUDEVENT)
        return Encoded(msgspec.json.encode(self.value(outgoing)), JSON)

    def encode_data(self, outgoing: Outgoing) -> Encoded:
        """As `encode`, for those who tell the CloudEvent's attributes apart from its data."""
        if self.name == "cloudevent":
            return Encoded(msgspec.json.encode(outgoing.event.get("data")), JSON)
        return self.encode(outgoing)


def item(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as one flat object, for programs that map fields by name: the vendor's fields and five of ours.

    `organizerKey` is empty for events about the engine itself.
    """
    data = event.get("data") or {}
    _, _, organizer = event.get("source", "").partition("/organizers/")
    own = {
        "id": event["id"],
        "sequence": event["sequence"],
        "eventType": short_type(event["type"]),
        "eventTime": event["time"],
        "organizerKey": data.get("organizerKey", organizer),
    }
    return {**own, **{name: value for name, value in data.items() if name not in own}}


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
