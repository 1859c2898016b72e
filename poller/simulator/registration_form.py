"""The form people register with: fields and custom questions, drawn from the webinar's key. Pure.

Nothing beyond name and e-mail is required, so a registration with just these is never refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from poller.simulator.model import Webinar
from poller.simulator.shapes import JsonObject

FIELDS = (("firstName", True), ("lastName", True), ("email", True), ("organization", False), ("jobTitle", False))
INDUSTRIES = ("Education", "Health", "Logistics", "Other")
EXPECTATIONS = ("An overview", "Details", "Answers")
LONGEST_FIELD, LONGEST_ANSWER = 128, 1000


def form_of(webinar: Webinar) -> JsonObject:
    """What getRegistrationFields answers."""
    fields: list[JsonObject] = [
        {"field": name, "required": required, "maxSize": LONGEST_FIELD} for name, required in FIELDS
    ]
    industry: JsonObject = {"field": "industry", "answers": list(INDUSTRIES), "required": False}
    return {"questions": _questions(webinar), "fields": [*fields, {**industry, "maxSize": LONGEST_FIELD}]}


def _questions(webinar: Webinar) -> list[JsonObject]:
    """Every other webinar asks two questions of its own."""
    if int(webinar.webinar_key) % 2:
        return []
    key = int(webinar.webinar_key[-9:])
    answers = [{"answer": text, "answerKey": key + 10 + number} for number, text in enumerate(EXPECTATIONS)]
    choice: JsonObject = {"questionKey": key + 1, "question": "What do you expect?", "answers": answers}
    return [
        {**choice, "required": False, "type": "multipleChoice", "maxSize": LONGEST_ANSWER},
        {
            "questionKey": key + 2,
            "question": "Who told you of us?",
            "required": False,
            "type": "shortAnswer",
            "maxSize": LONGEST_ANSWER,
        },
    ]


def answered(webinar: Webinar, details: Mapping[str, object]) -> dict[str, object]:
    """A registration's `responses`, sent by keys, as the registrant's details show them: in words."""
    responses = details.get("responses")
    if not isinstance(responses, list):
        return dict(details)
    return {**details, "responses": [_in_words(webinar, given) for given in responses]}


def _in_words(webinar: Webinar, given: object) -> object:
    """What is no answer to a question of this form stays as it was sent."""
    if not isinstance(given, dict):
        return given
    for asked in _questions(webinar):
        if asked["questionKey"] == given.get("questionKey"):
            return {"question": asked["question"], "answer": _words_of(asked, given)}
    return given


def _words_of(asked: JsonObject, given: Mapping[str, object]) -> object:
    choices = asked.get("answers", [])
    assert isinstance(choices, list)
    chosen = (choice["answer"] for choice in choices if choice["answerKey"] == given.get("answerKey"))
    return next(chosen, given.get("responseText", ""))
