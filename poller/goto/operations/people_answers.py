"""What GoTo Webinar answers about people, with the vendor's names. Any field may be absent.

Keys are strings, whatever the wire has: they have more digits than JavaScript can count. Times are as GoTo writes them.
"""

from __future__ import annotations

from typing import TypedDict

from poller.goto.operations.webinar_answers import PageInfo


class Registrant(TypedDict, total=False):
    lastName: str
    email: str
    firstName: str
    registrantKey: str
    registrationDate: str
    status: str
    joinUrl: str
    timeZone: str


class RegistrantsPage(TypedDict, total=False):
    data: list[Registrant]
    total: int
    page: int
    limit: int
    pageSize: int


class RegistrantCreated(TypedDict, total=False):
    """`status` was seen by client authors; the document is silent on it."""

    registrantKey: str
    joinUrl: str
    status: str


class CustomAnswer(TypedDict, total=False):
    answer: str
    question: str


class RegistrantDetails(TypedDict, total=False):
    lastName: str
    email: str
    firstName: str
    registrantKey: str
    registrationDate: str
    source: str
    status: str
    joinUrl: str
    timeZone: str
    phone: str
    state: str
    city: str
    organization: str
    zipCode: str
    numberOfEmployees: str
    industry: str
    jobTitle: str
    purchasingRole: str
    implementationTimeFrame: str
    purchasingTimeFrame: str
    questionsAndComments: str
    employeeCount: str
    country: str
    address: str
    type: str
    unsubscribed: bool
    responses: list[CustomAnswer]


class RegistrationChoice(TypedDict, total=False):
    answer: str
    answerKey: str


class RegistrationQuestion(TypedDict, total=False):
    questionKey: str
    question: str
    required: bool
    type: str
    maxSize: int
    answers: list[RegistrationChoice]


class RegistrationField(TypedDict, total=False):
    field: str
    answers: list[str]
    required: bool
    maxSize: int


class RegistrationFields(TypedDict, total=False):
    questions: list[RegistrationQuestion]
    fields: list[RegistrationField]


class Interval(TypedDict, total=False):
    joinTime: str
    leaveTime: str


class Attendee(TypedDict, total=False):
    registrantKey: str
    firstName: str
    lastName: str
    email: str
    attendanceTimeInSeconds: int
    sessionKey: str
    attendance: list[Interval]


class Participation(TypedDict, total=False):
    registrantKey: str
    sessionKey: str
    email: str
    attendanceTimeInSeconds: int
    attendance: list[Interval]
    firstName: str
    lastName: str


class AttendanceEmbedded(TypedDict, total=False):
    attendeeParticipationResponses: list[Participation]


class AttendancePage(TypedDict, total=False):
    _embedded: AttendanceEmbedded
    page: PageInfo


class PollAnswer(TypedDict, total=False):
    answer: str
    answers: list[str]
    question: str


class PollResponse(TypedDict, total=False):
    text: str
    percentage: float


class Poll(TypedDict, total=False):
    responses: list[PollResponse]
    question: str
    numberOfResponses: int


class AnswerGiven(TypedDict, total=False):
    answer: str
    answeredBy: str
    answererRole: str
    answerTime: str
    answererEmail: str


class AttendeeQuestion(TypedDict, total=False):
    answers: list[AnswerGiven]
    question: str
    askedBy: str
    askerKey: str
    dateAsked: str


class Coorganizer(TypedDict, total=False):
    joinLink: str
    email: str
    memberKey: str
    external: bool
    surname: str
    givenName: str


class Panelist(TypedDict, total=False):
    joinLink: str
    lastName: str
    email: str
    name: str
    panelistId: str
    firstName: str


class CreatedPanelist(TypedDict, total=False):
    name: str
    email: str
    joinLink: str
    panelistKey: str
