"""The benchmark of fetching over HTTP does what it says, at a size at which nothing is measured."""

from __future__ import annotations

from tests.benchmarks.pull import idle_streams, long_polls, server, spread


async def test_every_commit_is_waited_for_and_every_stream_is_served() -> None:
    with server() as to:
        delays = await long_polls(to, commits=3)
        assert len(delays) == 3 and min(delays) > 0
        assert "median" in spread(delays)
        assert (await idle_streams(to, count=4, rest_seconds=0.01)).startswith("4 streams")
