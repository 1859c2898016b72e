"""Who is registered now: the lines of the file sink as a table, one row per registrant.

    python jsonl_to_csv.py events.jsonl > registrants.csv

Files that were set aside by rotation are read as well. A line may stand there twice (the engine repeats what it could
not see confirmed), and lines of different webinars in any order: the id tells repeats, the sequence gives the order.
A line without its end is still being written.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

COLUMNS = ["webinarKey", "webinarSubject", "registrantKey", "firstName", "lastName", "email", "status"]


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Every event once, in the order of what happened."""
    found: dict[str, dict[str, Any]] = {}
    for file in [path, *path.parent.glob(f"{path.name}.[0-9]*")]:
        *lines, _unfinished = file.read_bytes().split(b"\n")
        for line in lines:
            event = json.loads(line)
            found[event["id"]] = event
    return iter(sorted(found.values(), key=lambda event: event["sequence"]))


def registered(path: Path) -> list[dict[str, Any]]:
    """The latest known data of everybody who was not removed since."""
    people: dict[str, dict[str, Any]] = {}
    for event in events(path):
        if event["type"] == "com.goto.registrant.removed":
            people.pop(event["subject"], None)
        elif event["type"].startswith("com.goto.registrant."):
            people[event["subject"]] = event["data"]
    return list(people.values())


def write(rows: list[dict[str, Any]], out: TextIO) -> None:
    writer = csv.DictWriter(out, COLUMNS, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    write(registered(Path(sys.argv[1])), sys.stdout)
