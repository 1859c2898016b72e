"""What is sent: the bodies of the writing operations, with the vendor's names and rules.

GoTo Webinar: the vendor's OpenAPI document, and its prose on sequences, whose fields the schemas leave out.
GoTo Meeting: the vendor's reference page. Required fields are marked; all others may be left out.
"""

from __future__ import annotations

from typing import Annotated, Literal, Required, TypedDict

from poller.goto.operations.kinds import (
    CALLBACK,
    DAY,
    EMAIL,
    KEY,
    MEETING_SUBJECT,
    MOMENT,
    NUMBER_KEY,
    TEXT,
    TOKEN,
    ZONE,
    Key,
    Moment,
    text,
)

Locale = Literal["en_US", "de_DE", "es_ES", "fr_FR", "it_IT", "zh_CN"]
WebinarType = Literal["single_session", "series", "sequence"]
AudioType = Literal["PSTN", "VOIP", "Hybrid", "Private"]
State = Literal["INACTIVE", "ACTIVE"]
EventName = Literal["registrant.added", "registrant.joined", "webinar.created", "webinar.changed", "survey.submitted"]

Subject = Annotated[str, text(128)]
Description = Annotated[str, text(2048)]
Entry = Annotated[str, text(128)]  # a default field of the registration form ("Get registration fields")

# ISO 3166 codes, as the document lists them.
TollFreeCountry = Literal[
    "AE", "AR", "AT", "AU", "BE", "BG", "BH", "BR", "BY", "CA", "CH", "CL", "CN", "CO", "CZ", "DE", "DK", "ES", "FI",
    "FR", "GB", "GR", "HK", "HU", "ID", "IE", "IL", "IN", "IS", "IT", "JP", "KR", "LU", "MX", "MY", "NL", "NO", "NZ",
    "PA", "PE", "PH", "PL", "PT", "RO", "RU", "SA", "SE", "SG", "TH", "TR", "TW", "UA", "US", "UY", "VN", "ZA",
]  # fmt: skip
TollCountry = Literal[
    "AT", "AU", "BE", "CA", "CH", "DE", "DK", "ES", "FI", "FR", "GB", "IE", "IT", "NL", "NO", "NZ", "SE", "US",
]  # fmt: skip


class Span(TypedDict):
    startTime: Annotated[Moment, MOMENT]
    endTime: Annotated[Moment, MOMENT]


class EmailSetting(TypedDict, total=False):
    enabled: bool


class FollowUpSetting(TypedDict, total=False):
    enabled: bool
    includeCertificate: bool


class EmailSettings(TypedDict, total=False):
    confirmationEmail: EmailSetting
    reminderEmail: EmailSetting
    absenteeFollowUpEmail: EmailSetting
    attendeeFollowUpEmail: FollowUpSetting


class NewWebinar(TypedDict, total=False):
    """One session: one span in `times`. Series: two or more. Sequence: the three fields of the recurrence instead."""

    subject: Required[Subject]
    description: Description
    times: list[Span]
    timeZone: Annotated[str, ZONE]
    type: WebinarType
    recurrenceStart: Span
    recurrencePattern: Literal["daily", "weekly", "monthly"]
    recurrenceEnd: Annotated[str, DAY]
    locale: Locale
    isPasswordProtected: bool
    recordingAssetKey: Annotated[str, TOKEN]
    isOndemand: bool
    isBreakout: bool
    experienceType: Literal["CLASSIC", "BROADCAST", "SIMULIVE"]
    emailSettings: EmailSettings


class WebinarChanges(TypedDict, total=False):
    subject: Subject
    description: Description
    times: list[Span]
    timeZone: Annotated[str, ZONE]
    locale: Locale
    emailSettings: EmailSettings


class WebinarCopy(TypedDict, total=False):
    subject: Subject
    description: Description
    type: WebinarType
    recordingAssetKey: Annotated[str, TOKEN]
    isOndemand: bool
    locale: Locale
    emailSettings: EmailSettings
    times: list[Span]
    timeZone: Annotated[str, ZONE]


class TelephoneNumbers(TypedDict, total=False):
    tollFreeCountries: list[TollFreeCountry]
    tollCountries: list[TollCountry]


class OwnTelephone(TypedDict, total=False):
    attendee: Required[Annotated[str, TEXT]]
    organizer: Annotated[str, TEXT]
    panelist: Annotated[str, TEXT]


class AudioChanges(TypedDict, total=False):
    type: Required[AudioType]
    pstnInfo: TelephoneNumbers
    privateInfo: OwnTelephone


class NewCoorganizer(TypedDict, total=False):
    """With `external` false `organizerKey`, with true `givenName` (the whole name) and `email`."""

    external: Required[bool]
    organizerKey: Annotated[Key, KEY]
    givenName: Annotated[str, TEXT]
    email: Annotated[str, EMAIL]


class NewPanelist(TypedDict):
    email: Annotated[str, EMAIL]
    name: Annotated[str, TEXT]


class AnswerToQuestion(TypedDict, total=False):
    questionKey: Required[Annotated[Key, NUMBER_KEY]]
    responseText: Annotated[str, text(1000)]
    answerKey: Annotated[Key, NUMBER_KEY]


class NewRegistrant(TypedDict, total=False):
    firstName: Required[Entry]
    lastName: Required[Entry]
    email: Required[Annotated[str, EMAIL]]
    source: Entry
    address: Entry
    city: Entry
    state: Entry
    zipCode: Entry
    country: Entry
    phone: Entry
    organization: Entry
    jobTitle: Entry
    questionsAndComments: Annotated[str, TEXT]
    industry: Entry
    numberOfEmployees: Entry
    purchasingTimeFrame: Entry
    purchasingRole: Entry
    responses: list[AnswerToQuestion]


class AssetSearch(TypedDict, total=False):
    accountKey: Required[Annotated[Key, KEY]]
    name: Annotated[str, TEXT]
    sortField: Literal["CREATETIME", "NAME"]
    sortOrder: Literal["DESC", "ASC"]


class AssetSearchForAdmin(TypedDict, total=False):
    organizerKey: Required[Annotated[Key, KEY]]
    name: Annotated[str, TEXT]
    sortField: Literal["CREATETIME", "NAME"]
    sortOrder: Literal["DESC", "ASC"]
    fromTime: Annotated[Moment, MOMENT]
    toTime: Annotated[Moment, MOMENT]


class NewSecretKey(TypedDict, total=False):
    validFrom: Annotated[Moment, MOMENT]


class NewWebhook(TypedDict):
    callbackUrl: Annotated[str, CALLBACK]
    eventName: EventName
    eventVersion: Literal["1.0.0"]
    product: Literal["g2w"]


class WebhookChanges(TypedDict, total=False):
    webhookKey: Required[Annotated[str, TOKEN]]
    callbackUrl: Annotated[str, CALLBACK]
    state: State


class NewUserSubscription(TypedDict, total=False):
    webhookKey: Required[Annotated[str, TOKEN]]
    callbackUrl: Annotated[str, CALLBACK]
    userSubscriptionState: State


class UserSubscriptionChanges(TypedDict, total=False):
    webhookKey: Required[Annotated[str, TOKEN]]
    userSubscriptionKey: Required[Annotated[str, TOKEN]]
    callbackUrl: Annotated[str, CALLBACK]
    userSubscriptionState: State


class MeetingRequest(TypedDict, total=False):
    """Lower-case names are the vendor's. `timezonekey` is deprecated and sent empty."""

    subject: Required[Annotated[str, MEETING_SUBJECT]]
    starttime: Required[Annotated[Moment, MOMENT]]
    endtime: Required[Annotated[Moment, MOMENT]]
    passwordrequired: Required[bool]
    conferencecallinfo: Required[Annotated[str, text(255)]]
    meetingtype: Required[Literal["immediate", "recurring", "scheduled"]]
    timezonekey: Annotated[str, TEXT]
    coorganizerKeys: list[Annotated[Key, KEY]]
