"""What the participants of a session say: answers to polls, questions, answers to the survey. Pure: drawn from keys.

A poll or survey question of a session has its text and its options; a participant gives one option, or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from poller.simulator.attendance import Participant, Session
from poller.simulator.options import WorldOptions

POLLS = (
    ("How did you hear of us?", ("A colleague", "A newsletter", "By chance")),
    ("How large is your team?", ("Up to 5", "6 to 50", "More than 50")),
    ("Which topic next?", ("Planning", "Reporting", "Training", "None of these")),
)
SURVEY = (
    ("How was it?", ("5", "4", "3", "2", "1")),
    ("Would you come again?", ("Yes", "Perhaps", "No")),
)
QUESTIONS = ("Will there be a recording?", "Does this work offline?", "What does it cost?")
REPLIES = ("Yes.", "Not yet.", "We will come back to you.")
POLL_SHARE, QUESTION_SHARE, REPLY_SHARE = 0.7, 0.2, 0.6
SURVEY_SECONDS = 3600

Choices = tuple[tuple[str, tuple[str, ...]], ...]  # questions with their options
Answers = list[tuple[str, str]]  # questions with the option chosen


@dataclass(frozen=True, slots=True)
class Question:
    """Asked by a participant; `reply` is empty where nobody answered."""

    participant: Participant
    text: str
    asked: datetime
    reply: str
    replied: datetime


def polls_of(session: Session) -> Choices:
    return POLLS[: int(session.session_key) % (len(POLLS) + 1)]


def poll_answers(participant: Participant) -> Answers:
    rng = _rng(participant, "polls")
    polls = polls_of(participant.session)
    drawn = [(question, rng.choice(options), rng.random()) for question, options in polls]
    return [(question, option) for question, option, chance in drawn if chance < POLL_SHARE]


def questions_of(participant: Participant) -> list[Question]:
    """At most one, asked while the participant was there."""
    rng = _rng(participant, "questions")
    if not participant.came or rng.random() >= QUESTION_SHARE:
        return []
    stay = participant.stays[0]
    asked = stay.start + (stay.end - stay.start) * rng.random()
    reply = rng.choice(REPLIES) if rng.random() < REPLY_SHARE else ""
    return [Question(participant, rng.choice(QUESTIONS), asked, reply, asked + timedelta(seconds=60))]


def survey_sent_at(participant: Participant, options: WorldOptions) -> datetime | None:
    """When the participant hands in the survey, if ever: after the end."""
    rng = _rng(participant, "survey")
    if not participant.came or rng.random() >= options.survey_share:
        return None
    return participant.session.held.end + timedelta(seconds=rng.randrange(60, SURVEY_SECONDS))


def survey_answers(participant: Participant) -> Answers:
    """What it says, once it is handed in."""
    rng = _rng(participant, "survey answers")
    return [(question, rng.choice(options)) for question, options in SURVEY]


def percentages(options: Iterable[str], chosen: Iterable[str]) -> dict[str, float]:
    """Of each option; zero everywhere as long as nobody chose."""
    counts = Counter(chosen)
    total = counts.total() or 1
    return {option: round(100 * counts[option] / total, 1) for option in options}


def _rng(participant: Participant, purpose: str) -> Random:
    return Random(f"{participant.session.session_key}:{participant.key}:{purpose}")
