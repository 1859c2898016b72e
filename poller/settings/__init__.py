"""The settings file: its tables and defaults, how it is read, and how its mistakes are told."""

from poller.settings.changes import changed, restart_required
from poller.settings.root import Settings
from poller.settings.sections import Connection, Engine, GoTo, Http, Limits, Trigger, Webhooks

__all__ = [
    "Connection",
    "Engine",
    "GoTo",
    "Http",
    "Limits",
    "Settings",
    "Trigger",
    "Webhooks",
    "changed",
    "restart_required",
]
