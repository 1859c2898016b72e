"""Pure: the paths of the dashboard, which are for people, and no part of the documents for programs."""

from __future__ import annotations

from typing import Final, Literal

from poller.web.routes import HTML, STREAM, Answer, Parameter, Route

ROWS: Final = 50  # of a table on one page
_LAST: Final = 10**15 - 1  # sequence: no log reaches so far

CONNECTION: Final = Parameter("connection", "Only of this connection.", longest=200)
SINK: Final = Parameter("sink", "Only of this sink.", longest=200)
PAGE: Final = Parameter("page", "Which page of the table.", kind="integer", default=1, minimum=1, maximum=2000)
BEFORE: Final = Parameter("before", "Only events with a lower sequence.", kind="integer", minimum=1, maximum=_LAST)
AFTER: Final = Parameter(
    "after", "Only events with a higher sequence.", kind="integer", default=0, minimum=0, maximum=_LAST
)
TYPE: Final = Parameter("type", "Only events of this type.", default="", pattern=r"[\w.]*", longest=200)
KEY: Final = Parameter("key", "What is looked for: a key, a subject, an event's id or its sequence.", longest=500)
NEXT: Final = Parameter("next", "Where a login leads.", longest=500)


def _page(name: str, path: str, summary: str, *parameters: Parameter, open_: bool = False) -> Route:
    answers = (Answer(200, "A page.", {"type": "string"}, HTML),)
    return Route(name, "GET", path, summary, answers, parameters, tag="dashboard", open=open_, page=True)


def _form(name: str, path: str, summary: str, *parameters: Parameter, open_: bool = False) -> Route:
    method: Literal["POST"] = "POST"
    answers = (Answer(303, "Done, or not; the next page says so."),)
    return Route(name, method, path, summary, answers, parameters, tag="dashboard", open=open_, page=True)


def _at(name: str) -> Parameter:
    return Parameter(name, "As the dashboard has it.", "path", required=True, longest=200)


PAGES: Final = (
    _page("showDashboard", "/", "How things stand"),
    _page("showConnections", "/ui/connections", "Connections and what they poll", CONNECTION, PAGE),
    _page("showSinks", "/ui/sinks", "Sinks and triggers"),
    _page("showDead", "/ui/dead", "Dead letters", SINK, AFTER),
    _page("showJournal", "/ui/journal", "The journal of polls", CONNECTION, PAGE),
    _page("showEvents", "/ui/events", "The event log", BEFORE, TYPE),
    _page("showEvent", "/ui/events/{id}", "One event, and what became of it", _at("id")),
    _page("showAccount", "/ui/explain", "Everything known about one thing", KEY),
    Route(
        "followDashboard",
        "GET",
        "/ui/live",
        "Tells open pages to look again",
        (Answer(200, "Sequences, without the events.", {"type": "string"}, STREAM),),
        tag="dashboard",
        page=True,
    ),
    _form("act", "/ui/actions/{action}", "Do what a button says", _at("action")),
    _page("askForKey", "/ui/login", "The login", NEXT, open_=True),
    _form("logIn", "/ui/login", "Log in with an API key", open_=True),
    _form("logOut", "/ui/logout", "Log out", open_=True),
    _page("getAsset", "/ui/static/{name}", "Styles and scripts", _at("name"), open_=True),
)
