"""Writes the modules in which every operation of the catalogue is a method with its types: `<subject>_methods.py`.

`python -m poller.goto.operations.writing`, then `ruff format poller/goto/operations`, after a change of the catalogue.
A test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from poller.goto.operations.catalogue import OPERATIONS, SUBJECTS
from poller.goto.operations.kinds import written
from poller.goto.operations.spec import OWN, Operation, Parameter, snake

_HEAD: Final = '''"""Methods of poller.goto.operations.methods: coroutines, and streams over all pages.

Written by poller.goto.operations.writing from what stands in {subject}.py: do not edit.
"""

from __future__ import annotations

{imports}

class {name}(Calls):
'''
_STANDARD: Final = {"AsyncIterator": "collections.abc", "Literal": "typing"}
_MODULES: Final = ("bodies", "calling", "kinds", "meeting_answers", "people_answers", "webinar_answers")


def sources() -> dict[str, str]:
    """The modules, unformatted but for their line breaks, by the names of their files."""
    return {f"{subject}_methods.py": _source(subject, operations) for subject, operations in SUBJECTS.items()}


def _source(subject: str, operations: Iterable[Operation]) -> str:
    methods = "".join(_method(operation) + _stream(operation) for operation in operations)
    name = f"{subject.capitalize()}Methods"
    return _HEAD.format(subject=subject, imports=_imports(methods), name=name) + methods.removeprefix("\n")


def _imports(methods: str) -> str:
    """One statement for each module whose names stand in the methods."""
    standard = [f"from {module} import {name}\n" for name, module in _STANDARD.items() if name in methods]
    own = []
    for module in _MODULES:
        names = [name for name in _types(module) if re.search(rf"\b{name}\b", methods)] + _bases(module)
        if names:
            own.append(f"from poller.goto.operations.{module} import {', '.join(names)}\n")
    return "".join([*standard, "\n", *own])


def _bases(module: str) -> list[str]:
    return ["Calls"] if module == "calling" else []


def _types(module: str) -> list[str]:
    if module == "kinds":
        return ["Key", "Moment"]
    return sorted({shape.__name__ for shape in _shapes() if shape.__module__.endswith(f".{module}")})


def _shapes() -> list[Any]:
    hints = [hint for o in OPERATIONS.values() for hint in (o.answer, o.body, o.paging and o.paging.item)]
    return [shape for hint in hints for shape in _inside(hint)]


def _inside(hint: Any) -> list[Any]:
    parts = get_args(hint)
    return (
        [shape for part in parts for shape in _inside(part)] if parts else [hint] if hasattr(hint, "__total__") else []
    )


def _method(operation: Operation) -> str:
    answer = "None" if operation.answer is None else written(operation.answer)
    call = f'await self.perform("{operation.name}", {_given(_all(operation))}{_body(operation)})'
    line = call if operation.answer is None else f"result: {answer} = {call}\n        return result"
    return (
        f"\n    async def {operation.python_name}({_signature(operation, _all(operation))}) -> {answer}:\n"
        f'        """{operation.summary}."""\n        {line}\n'
    )


def _stream(operation: Operation) -> str:
    paging = operation.paging
    if paging is None:
        return ""
    parameters = [p for p in _all(operation) if p.name not in (paging.place, paging.size)]
    return (
        f"\n    def stream_{operation.python_name}({_signature(operation, parameters)})"
        f" -> AsyncIterator[{written(paging.item)}]:\n"
        f'        """The items of {operation.python_name}, over all pages."""\n'
        f'        return self.items("{operation.name}", {_given(parameters)}{_body(operation)})\n'
    )


def _all(operation: Operation) -> list[Parameter]:
    """Those that a caller may choose."""
    return [parameter for parameter in operation.parameters if parameter.where != "header"]


def _signature(operation: Operation, parameters: list[Parameter]) -> str:
    """Keys of the path in its order, then the body; all else by name."""
    places = [p for p in parameters if p.where == "path" and p.name not in OWN]
    named = [p for p in parameters if p not in places]
    found = ["self", *(f"{snake(p.name)}: {written(p.hint)}" for p in places)]
    if operation.body is not None:
        found.append(f"body: {_sent(operation)}")
    if named:
        found += ["*", *map(_named, sorted(named, key=lambda p: not _needed(p)))]
    return ", ".join(found)


def _needed(parameter: Parameter) -> bool:
    return parameter.required and parameter.name not in OWN and parameter.default is None


def _named(parameter: Parameter) -> str:
    kind = written(parameter.hint)
    if _needed(parameter):
        return f"{snake(parameter.name)}: {kind}"
    if parameter.default is None:
        return f"{snake(parameter.name)}: {kind} | None = None"
    default = f'"{parameter.default}"' if isinstance(parameter.default, str) else repr(parameter.default)
    return f"{snake(parameter.name)}: {kind} = {default}"


def _sent(operation: Operation) -> str:
    listed = get_origin(operation.body) is list
    return written(operation.body) if listed else str(operation.body.__name__)


def _given(parameters: list[Parameter]) -> str:
    return "{" + ", ".join(f'"{p.name}": {snake(p.name)}' for p in parameters) + "}"


def _body(operation: Operation) -> str:
    return "" if operation.body is None else ", body"


if __name__ == "__main__":
    for file, text in sources().items():
        Path(__file__).with_name(file).write_text(text, encoding="utf-8")
