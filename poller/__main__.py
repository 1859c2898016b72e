"""`python -m poller` is the command `poller`."""

from poller.cli import main

main()
