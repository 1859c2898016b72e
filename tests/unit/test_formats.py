"""The shapes in which events are handed over."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from poller import samples
from poller.errors import Refused, UsageError
from poller.formats import Format, Template, item
from poller.sinks.binding import attribute_headers, attributes
from poller.testing.events import DATA, outgoing


def test_a_cloudevent_is_the_stored_bytes_and_valid_for_the_official_library() -> None:
    event = outgoing(42, backfill=True)
    body, content_type = Format().encode(event)
    assert body == event.body
    assert content_type.startswith("application/cloudevents+json")
    read = JSONFormat().read(CloudEvent, body)
    assert read.get_id() == event.id
    assert read.get_type() == "com.goto.registrant.added"
    assert read.get_extension("partitionkey") == "w1"
    assert read.get_data() == DATA


def test_data_is_what_the_vendor_says_and_nothing_else() -> None:
    body, content_type = Format("data").encode(outgoing())
    assert json.loads(body) == DATA
    assert content_type == "application/json"


def test_an_item_is_flat_and_self_contained() -> None:
    event = outgoing(42)
    assert json.loads(Format("item").encode(event).body) == {
        "id": event.id,
        "sequence": "00000000000000000042",
        "eventType": "registrant.added",
        "eventTime": "2026-03-01T09:15:42Z",
        **DATA,
    }


def test_an_items_own_keys_win_over_vendor_fields_and_the_organizer_comes_from_the_source() -> None:
    event = {"id": "e", "sequence": "1", "type": "t", "time": "now", "source": "/organizers/7", "data": {"id": "x"}}
    assert item(event) == {"id": "e", "sequence": "1", "eventType": "t", "eventTime": "now", "organizerKey": "7"}


def test_a_template_sees_the_event_its_data_and_its_short_type() -> None:
    text = "{{ short_type }} {{ id == event.id }} {{ data.email }} {{ connection }} {{ backfill }}"
    assert Template(text).render(outgoing()) == "registrant.added True zoe@example.com acme False"


def test_what_a_template_makes_is_json_or_plain_text() -> None:
    as_json = Format("template", '{"name": {{ data.firstName | tojson }}}').encode(outgoing())
    assert (json.loads(as_json.body), as_json.content_type) == ({"name": "Zoë"}, "application/json")
    assert Format("template", "Hi {{ data.firstName }}!").encode(outgoing()) == (
        "Hi Zoë!".encode(),
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize("text", ["{{ data.email", "{% for %}", "{{ data | nosuchfilter }}", "{{ emial }}"])
def test_a_template_that_cannot_work_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(UsageError):
        Template(text)


@pytest.mark.parametrize("text", ["{{ data.nickname }}", "{{ data.email + 1 }}", "{{ ''.__class__.__mro__ }}"])
def test_an_event_that_a_template_cannot_render_is_refused_without_its_data(text: str) -> None:
    with pytest.raises(Refused, match="the template failed") as caught:
        Template(text).render(outgoing())
    assert "zoe@" not in str(caught.value)


def test_binary_headers_follow_the_http_binding() -> None:
    headers = attribute_headers(
        attributes({"id": "e", "subject": 'a "b" 100%€', "backfill": True, "data": {}, "specversion": "1"})
    )
    assert headers == {
        "ce-id": "e",
        "ce-subject": "a%20%22b%22%20100%25%E2%82%AC",
        "ce-backfill": "true",
        "ce-specversion": "1",
    }


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_binary_headers_carry_any_text_as_printable_ascii(text: str) -> None:
    from urllib.parse import unquote

    value = attribute_headers({"subject": text})["ce-subject"]
    assert all("!" <= character <= "~" for character in value)
    assert unquote(value) == text


def test_a_template_may_set_variables_of_its_own_in_the_branches_of_a_condition() -> None:
    text = "{% if short_type == 'registrant.added' %}{% set who = data.firstName %}{% endif %}{{ who }}"
    assert Template(text).render(outgoing()) == "Zoë"


def test_a_template_of_the_type_alone_is_not_that_of_the_event_before() -> None:
    template, event = Template("goto/{{ short_type }}"), outgoing()
    other = replace(event, type="com.goto.webinar.created", _cache={})
    assert [template.render(event), template.render(other), template.render(event)] == [
        "goto/registrant.added",
        "goto/webinar.created",
        "goto/registrant.added",
    ]
    assert Template("{{ id }}").render(outgoing(1)) != Template("{{ id }}").render(outgoing(2))


def test_an_item_about_the_engine_itself_names_no_organizer() -> None:
    found = item(samples.sample("poller.sink.disabled").event)
    assert found["organizerKey"] == ""
    assert found["sink"] == "crm"
