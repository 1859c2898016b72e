"""A trigger's condition: is it JMESPath, and does it call only functions that exist?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from poller.fields import FieldError
from poller.settings.nearest import suggestion

_EXAMPLE = "data.status == 'APPROVED'"


def checked(expression: str) -> str:
    """The expression as it is; raises FieldError if it could not be evaluated on any event. "" is none."""
    if not expression:
        return expression
    try:
        tree: Any = jmespath.compile(expression).parsed
    except JMESPathError as err:
        raise FieldError(f'is not JMESPath{_place(err)}; write a condition such as "{_EXAMPLE}"') from err
    for name in _functions(tree):
        if name not in Functions.FUNCTION_TABLE:
            raise FieldError(f"calls {name}(), which JMESPath does not have{suggestion(name, _names())}")
    return expression


def _place(err: JMESPathError) -> str:
    position = getattr(err, "lex_position", None)
    return "" if position is None else f" from character {position + 1} on"


def _functions(node: Any) -> Iterator[str]:
    """The names of all functions called in a syntax tree."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _functions(child)


def _names() -> list[str]:
    return list(Functions.FUNCTION_TABLE)
