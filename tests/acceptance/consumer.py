"""The coroutine behind the function sink of the campaigns: one line per event."""

from __future__ import annotations

import json
import os
from typing import Any

PATH_VARIABLE = "ACCEPTANCE_CONSUMER"


async def keep(event: dict[str, Any]) -> None:
    """One write per line, so that a kill leaves whole lines."""
    handle = os.open(os.environ[PATH_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, json.dumps(event).encode() + b"\n")
    finally:
        os.close(handle)
