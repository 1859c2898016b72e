"""What the state refuses, named after what the caller should do.

StateError
├── StateInUse        another engine owns this state: leave it alone (exit code 4)
├── StateNewer        written by a newer program: upgrade this one (4)
├── StateDamaged      restore a backup (4)
├── StateNotWritable  mend permissions, or give it a folder it may write to (4)
├── StateUnavailable  the disk is full or fails just now: nothing was written, try again later
└── NothingThere      the named event, sink or dead letter does not exist
"""

from __future__ import annotations


class StateError(Exception):
    """Root of everything the state raises. The text says which file and how to mend it."""


class StateInUse(StateError):
    """Another process holds the lock of this state."""


class StateNewer(StateError):
    """The schema is newer than this program knows."""


class StateDamaged(StateError):
    """Not a database, truncated, or inconsistent."""


class StateNotWritable(StateError):
    """The file or its folder cannot be written."""


class StateUnavailable(StateError):
    """The transaction was rolled back as a whole (disk full, I/O error); the same call may succeed later."""


class NothingThere(StateError):
    """Nothing of that name or id is in the state."""
