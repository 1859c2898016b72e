"""What was said in a session and how it went: polls, questions, surveys, performance.

Shapes and rules: the vendor's OpenAPI document, tags Sessions and Attendees. Everything follows from who came as far as
the API shows it; surveys count from the moment they are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean

from poller.simulator.answers import Answer, json_answer
from poller.simulator.attendance import Participant, Session
from poller.simulator.desk import Operation, Visit
from poller.simulator.feedback import (
    SURVEY,
    Answers,
    Choices,
    Question,
    percentages,
    poll_answers,
    polls_of,
    questions_of,
    survey_answers,
    survey_sent_at,
)
from poller.simulator.shapes import JsonObject, utc
from poller.simulator.warrant import Warrant
from poller.simulator.world import World


class SessionReportApi:
    def __init__(self, world: World) -> None:
        self._world = world
        self._warrant = Warrant(world)

    def operations(self) -> list[Operation]:
        webinar = "/G2W/rest/v2/organizers/{organizerKey}/webinars/{webinarKey}"
        one = f"{webinar}/sessions/{{sessionKey}}"
        person = f"{one}/attendees/{{registrantKey}}"
        return [
            Operation("getPolls", "GET", f"{one}/polls", self._polls),
            Operation("getQuestions", "GET", f"{one}/questions", self._questions),
            Operation("getSurveys", "GET", f"{one}/surveys", self._surveys),
            Operation("getPerformance", "GET", f"{one}/performance", self._performance),
            Operation("getPerformanceForAllWebinarSessions", "GET", f"{webinar}/performance", self._performances),
            Operation("getAttendeePollAnswers", "GET", f"{person}/polls", self._own_polls),
            Operation("getAttendeeQuestions", "GET", f"{person}/questions", self._own_questions),
            Operation("getAttendeeSurveyAnswers", "GET", f"{person}/surveys", self._own_survey),
        ]

    # ---- of a session

    def _polls(self, visit: Visit) -> Answer:
        session, came = self._attendance(visit)
        return json_answer(_collated(polls_of(session), [poll_answers(participant) for participant in came]))

    def _questions(self, visit: Visit) -> Answer:
        _, came = self._attendance(visit)
        return json_answer([_question(q) for participant in came for q in questions_of(participant)])

    def _surveys(self, visit: Visit) -> Answer:
        _, came = self._attendance(visit)
        sent = [participant for participant in came if self._handed_in(participant, visit.now)]
        return json_answer(_collated(SURVEY, [survey_answers(participant) for participant in sent]))

    def _performance(self, visit: Visit) -> Answer:
        return json_answer(self._performance_of(self._warrant.session(visit), visit.now))

    def _performances(self, visit: Visit) -> Answer:
        """By session key."""
        sessions = self._world.sessions.completed([self._warrant.webinar(visit)], visit.now)
        return json_answer({session.session_key: self._performance_of(session, visit.now) for session in sessions})

    def _attendance(self, visit: Visit) -> tuple[Session, list[Participant]]:
        session = self._warrant.session(visit)
        return session, self._world.sessions.attendees(session, visit.now)

    # ---- of one attendee

    def _own_polls(self, visit: Visit) -> Answer:
        return json_answer(_given(poll_answers(self._warrant.participant(visit))))

    def _own_questions(self, visit: Visit) -> Answer:
        return json_answer([_question(question) for question in questions_of(self._warrant.participant(visit))])

    def _own_survey(self, visit: Visit) -> Answer:
        participant = self._warrant.participant(visit)
        return json_answer(_given(survey_answers(participant) if self._handed_in(participant, visit.now) else []))

    def _handed_in(self, participant: Participant, moment: datetime) -> bool:
        sent = survey_sent_at(participant, self._world.options)
        return sent is not None and sent <= moment

    # ---- performance

    def _performance_of(self, session: Session, moment: datetime) -> JsonObject:
        came = self._world.sessions.attendees(session, moment)
        registered = self._world.registrant_count(session.webinar_key)
        return {
            "sessionInfo": _session_info(session, registered),
            "attendance": _attendance_figures(came, registered),
            "pollsAndSurveys": self._answer_figures(session, came, moment),
        }

    def _answer_figures(self, session: Session, came: Sequence[Participant], moment: datetime) -> JsonObject:
        polls = len(polls_of(session))
        answered = sum(len(poll_answers(participant)) for participant in came)
        sent = sum(self._handed_in(participant, moment) for participant in came)
        return {
            "pollCount": polls,
            "surveyCount": 1,
            "questionsAsked": sum(len(questions_of(participant)) for participant in came),
            "percentagePollsCompleted": _percent(answered, polls * len(came)),
            "percentageSurveysCompleted": _percent(sent, len(came)),
        }


# ---- shapes


def _collated(choices: Choices, answers: Sequence[Answers]) -> list[JsonObject]:
    """Each question with the share of each option."""
    polls: list[JsonObject] = []
    for question, options in choices:
        chosen = [option for given in answers for asked, option in given if asked == question]
        shares = percentages(options, chosen)
        responses = [{"text": option, "percentage": share} for option, share in shares.items()]
        polls.append({"responses": responses, "question": question, "numberOfResponses": len(chosen)})
    return polls


def _given(answers: Answers) -> list[JsonObject]:
    return [{"answer": option, "answers": [option], "question": question} for question, option in answers]


def _question(question: Question) -> JsonObject:
    asker, host = question.participant.registrant, question.participant.session.starter
    reply = {
        "answer": question.reply,
        "answeredBy": host.organizer_key,
        "answererRole": "ORGANIZER",
        "answerTime": utc(question.replied),
        "answererEmail": host.email,
    }
    return {
        "answers": [reply] if question.reply else [],
        "question": question.text,
        "askedBy": asker.email,
        "askerKey": asker.registrant_key,
        "dateAsked": utc(question.asked),
    }


def _session_info(session: Session, registered: int) -> JsonObject:
    webinar = session.webinar
    return {
        "webinarName": webinar.subject,
        "webinarId": webinar.webinar_id,
        "sessionKey": session.session_key,
        "timeZone": webinar.time_zone,
        "experienceType": webinar.experience.upper(),
        "recurrencePeriod": webinar.recurrence,
        "startTime": utc(session.held.start),
        "endTime": utc(session.held.end),
        "registrationEmailOpenedCount": str(registered * 2),
        "registrationLinkClickedCount": str(registered),
    }


def _attendance_figures(came: Sequence[Participant], registered: int) -> JsonObject:
    length = (came[0].session.held.end - came[0].session.held.start).total_seconds() if came else 0.0
    average = fmean(participant.seconds for participant in came) if came else 0.0
    return {
        "registrantCount": registered,
        "percentageAttendance": _percent(len(came), registered),
        "averageInterestRating": fmean(1 + int(participant.key) % 100 for participant in came) if came else 0.0,
        "averageAttentiveness": _percent(average, length),
        "averageAttendanceTimeSeconds": round(average, 1),
    }


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
