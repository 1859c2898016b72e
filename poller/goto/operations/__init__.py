"""Every operation of GoTo Webinar v2 and GoTo Meeting: declared once, checked before it is sent, called by name.

`spec` says what there is to say about one, `catalogue` has them all; `preparing` (pure) makes the request, `calling`
sends it and walks lists, `methods` gives each of them types. `raw` is for what no operation covers.
"""

from poller.goto.operations.calling import Calls
from poller.goto.operations.catalogue import OPERATIONS, find, matching
from poller.goto.operations.methods import Operations
from poller.goto.operations.spec import Operation, Paging, Parameter

__all__ = ["OPERATIONS", "Calls", "Operation", "Operations", "Paging", "Parameter", "find", "matching"]
