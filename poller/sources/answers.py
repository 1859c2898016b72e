"""What those who came said: answers to polls, questions, answers to the survey. Vendor: GoTo Webinar v2,
getAttendeePollAnswers, getAttendeeQuestions, getAttendeeSurveyAnswers.

GoTo has three lists for each attendee of a session, and none that says of all of them who said what. They are read
once, when somebody is told to have come, and never hold that up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw

from poller.errors import PermissionRefused, PollerError, QuotaExhausted, Reauthorize, Wait
from poller.goto import AttendeeList, GotoClient, Priority
from poller.goto.protocol import document
from poller.ports import Detailed
from poller.sources.participants import ATTENDED
from poller.sources.shapes import CONFIRMING, decode, normalise, zulu
from state.records import Target

# Of one poll, the attendees whose lists are read; whoever else came is told without.
ATTENDEES: Final = 25

# How often GoTo may be busy in one poll before it is left alone.
PATIENCE: Final = 3


class Answers:
    """Adds `pollAnswers`, `questions`, `surveyAnswers`, each unless it could not be read, and `answersComplete`."""

    def __init__(self, client: GotoClient) -> None:
        self._client = client

    async def add(self, target: Target, news: Mapping[str, str]) -> Detailed:
        came = [key for key, type_ in news.items() if type_ == ATTENDED]
        inquiry = _Inquiry(self._client, target)
        read = [await inquiry.about(key) for key in came[:ATTENDEES]]
        said = read + [{}] * (len(came) - len(read))
        told = [{**lists, "answersComplete": len(lists) == len(_LISTS)} for lists in said]
        return Detailed(dict(zip(came, told, strict=True)), inquiry.calls)


class _Inquiry:
    """The calls of one poll."""

    def __init__(self, client: GotoClient, target: Target) -> None:
        self._client = client
        self._target = target
        self._left = set(_LISTS)  # lists that are worth asking for
        self._busy = 0
        self.calls = 0

    async def about(self, key: str) -> dict[str, Any]:
        """The lists of one attendee by the names they have in events."""
        found: dict[str, Any] = {}
        for kind, (name, normal) in _LISTS.items():
            if kind in self._left:
                try:
                    found[name] = [decode(document(bytes(item)), normal) for item in await self._read(kind, key)]
                except PollerError as error:
                    self._learn(kind, error)
        return found

    async def _read(self, kind: AttendeeList, key: str) -> list[Raw]:
        self.calls += 1
        webinar, _, session = self._target.scope.parent.partition("/")
        answer = await self._client.attendee_list(
            kind, self._target.organizer_key, webinar, session, key, priority=Priority.CONFIRM, wait_at_most=CONFIRMING
        )
        return answer.items

    def _learn(self, kind: AttendeeList, error: PollerError) -> None:
        """From a failure, what need not be asked for any more in this poll."""
        if isinstance(error, PermissionRefused):
            self._left.discard(kind)
        self._busy += isinstance(error, Wait)
        if isinstance(error, QuotaExhausted | Reauthorize) or self._busy >= PATIENCE:
            self._left.clear()


def normal_answer(item: dict[str, Any]) -> dict[str, Any]:
    """To a poll or survey. `answer`, which the vendor calls deprecated, may come alone."""
    data = normalise(item)
    given = data.pop("answer", None)
    return data if isinstance(data.get("answers"), list) else {**data, "answers": [] if given is None else [given]}


def normal_question(item: dict[str, Any]) -> dict[str, Any]:
    data = normalise(item)
    listed = data.get("answers")
    replies = [reply for reply in listed if isinstance(reply, dict)] if isinstance(listed, list) else []
    return {
        **data,
        **({"dateAsked": zulu(data["dateAsked"])} if "dateAsked" in data else {}),
        "answers": [_normal_reply(reply) for reply in replies],
    }


def _normal_reply(reply: dict[str, Any]) -> dict[str, Any]:
    """`answeredBy` is an organizer's key, although it is not called one."""
    changed = {"answerTime": zulu, "answeredBy": _text}
    return {**reply, **{name: change(reply[name]) for name, change in changed.items() if name in reply}}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_LISTS: Final[Mapping[AttendeeList, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]] = {
    "polls": ("pollAnswers", normal_answer),
    "questions": ("questions", normal_question),
    "surveys": ("surveyAnswers", normal_answer),
}
