"""The trigger catalogue: what it says of items is what items are."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from poller import samples
from poller.formats import item
from poller.settings import Settings
from poller.triggers import Triggers
from poller.web import catalogue

TRIGGERS = {
    "signups": ["registrant.added", "registrant.changed"],
    "everything": ["*"],
    "goto": ["webhook.*"],
    "alarms": ["poller.*"],
}


class Hearing:
    """A trigger as the engine has it."""

    def __init__(self, on: list[str]) -> None:
        settings = Settings.parse({"triggers": [{"name": "one", "on": on}]})
        self._triggers = Triggers(settings.triggers, [])

    def hears(self, short_type: str) -> bool:
        return self._triggers.wants([short_type], "acme", "", "")


def entries() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in catalogue.entries((name, Hearing(on)) for name, on in TRIGGERS.items())}


def test_every_trigger_is_listed_under_its_name() -> None:
    assert list(entries()) == list(TRIGGERS)


def test_a_trigger_lists_the_types_it_can_send() -> None:
    found = {name: set(entry["eventTypes"]) for name, entry in entries().items()}
    assert found["signups"] == {"registrant.added", "registrant.changed"}
    assert {"webinar.created", "webinar.cancelled", "registrant.removed"} <= found["everything"]
    assert not any(type_.startswith("poller.") for type_ in found["everything"])
    assert "poller.sink.disabled" in found["alarms"]
    assert found["goto"] == {"webhook.registrant.joined", "webhook.survey.submitted"}


@pytest.mark.parametrize("name", TRIGGERS)
def test_schemas_are_schemas_and_samples_fit_them(name: str) -> None:
    entry = entries()[name]
    Draft202012Validator.check_schema(entry["schema"])
    if entry["eventTypes"]:
        Draft202012Validator(entry["schema"]).validate(entry["sample"])
        assert entry["sample"]["eventType"] == entry["eventTypes"][0]
    else:
        assert entry["sample"] is None


@pytest.mark.parametrize("type_", samples.types())
def test_the_item_of_every_type_fits_its_schema_and_no_other_types(type_: str) -> None:
    everything = catalogue.schema(samples.types())
    example = item(samples.sample(type_).event)
    Draft202012Validator(everything).validate(example)
    for field in ("id", "sequence", "eventType", "eventTime", "organizerKey"):
        broken = {name: value for name, value in example.items() if name != field}
        assert not Draft202012Validator(everything).is_valid(broken), field
    assert not Draft202012Validator(catalogue.schema([type_])).is_valid({**example, "eventType": "another"})


@pytest.mark.parametrize("type_", samples.types())
def test_every_field_of_a_sample_is_described_and_every_key_is_a_text(type_: str) -> None:
    described = catalogue.schema([type_])["properties"]
    example = item(samples.sample(type_).event)
    assert set(example) <= set(described)
    for name, schema in described.items():
        if name.endswith(("Key", "ID")):
            assert "string" in schema["type"], name
            assert "integer" not in schema["type"], name


def test_a_number_where_a_key_is_expected_does_not_fit() -> None:
    example = item(samples.sample("registrant.added").event)
    schema = Draft202012Validator(catalogue.schema(["registrant.added"]))
    assert schema.is_valid({**example, "joinUrl": None, "aNewField": [1]})
    assert not schema.is_valid({**example, "registrantKey": int(example["registrantKey"])})


def test_every_trigger_can_be_filtered_by_webinar_and_needs_no_filter() -> None:
    for entry in entries().values():
        assert "webinarKey" in [parameter["name"] for parameter in entry["parameters"]]
        for parameter in entry["parameters"]:
            assert parameter["required"] is False
            Draft202012Validator.check_schema(parameter["schema"])
