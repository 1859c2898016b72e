"""Pure: how often each target has news, learnt from what its polls found.

News of one target is taken for a Poisson process whose rate is its own factor times a profile of the time that is left
until its end: registrations rise towards a webinar. A factor is estimated with a Gamma prior which all targets of a
kind teach together, so that a target nobody has polled yet starts at what is usual, and one that was quiet for a day
where others were busy is known to be quiet. What was seen long ago counts less.

The rule for using such estimates (poll where λ·τ² is largest) is the planner's. On both: Cho and Garcia-Molina,
"Effective page refresh policies for web crawlers" (2003); Azar et al., "Tractable near-optimal policies for crawling"
(2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from state.records import Record, Target

DAY = 86_400.0
HALF_LIFE = 14 * DAY  # after so long (seconds) an observation counts half

# Before anything was learnt: one piece of news a day from each target, believed as little as one observation.
_USUAL = 1.0 / DAY
# The prior's shape says how unlike targets are. Bounded: few targets can suggest anything.
_SHAPES = (0.03, 4.0)
_FIRST_SHAPE = 0.15
# A target that never had news is still this unlikely to have some, beside the usual one.
_LEAST = 1e-3

_HOUR = 3600.0
_BINS = 13  # after the end; within 1 h of it, 2 h, 4 h, … 1024 h; longer; without an end
_OVER, _ENDLESS = 0, _BINS - 1
_SHORTEST = 1e-3  # seconds; a shorter watch is none
_SAMPLE = 100  # records of one list whose moments are looked at
_PROFILE_WEIGHT = 30.0  # pieces of news after which a bin of the profile believes itself more than "as usual"


class Estimate(NamedTuple):
    """What the polls of one target have shown, old ones counting less."""

    news: float = 0.0
    exposure: float = 0.0  # seconds watched, each weighed by the profile


NOTHING_SEEN = Estimate()


@dataclass(frozen=True, slots=True)
class History:
    """Moments (POSIX seconds) at which the records of a list came into being, each standing for `weight` of them."""

    moments: Sequence[float] = ()
    weight: float = 1.0

    @classmethod
    def of(cls, moment: Callable[[bytes], float | None], records: Sequence[Record]) -> History:
        """Of a long list a sample: an estimate needs no more, and a first sync reads a million records."""
        step = max(-(-len(records) // _SAMPLE), 1)
        found = (moment(record.body) for record in records[::step])
        return cls([known for known in found if known is not None], step)


NO_HISTORY = History()


class Rates:
    """The rates of one kind of targets: what they have in common, and from it what each one's polls mean."""

    def __init__(self) -> None:
        self._found = [0.0] * _BINS
        self._expected = [0.0] * _BINS
        self._weights = [1.0] * _BINS
        self._weigh()
        self._stale = 0
        self.forget()

    # ── over a restart ───────────────────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> dict[str, list[float]]:
        """The profile; what is known of single targets they carry themselves."""
        return {"found": self._found, "expected": self._expected}

    def restore(self, profile: Mapping[str, Sequence[float]]) -> None:
        """A profile of another shape, from another version, is not taken."""
        found, expected = profile.get("found", ()), profile.get("expected", ())
        if len(found) == len(expected) == _BINS:
            self._found, self._expected = list(map(float, found)), list(map(float, expected))
            self._weigh()

    # ── learning ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, estimate: Estimate) -> None:
        """A target comes with what is known of it."""
        self._count(estimate, 1.0)

    def forget(self) -> None:
        """As if no target had come yet; the profile stays."""
        # Sums over the targets' estimates, from which mean and shape of the prior follow.
        self._news = self._exposure = self._news2 = self._both = self._exposure2 = 0.0
        self._prior = (_FIRST_SHAPE, _FIRST_SHAPE / _USUAL)

    def observe(
        self, estimate: Estimate, since: float, until: float, news: int, ends_at: float | None = None
    ) -> Estimate:
        """What is known after a poll found so many pieces of news between two moments (POSIX seconds).

        A span that makes no sense, such as one of a clock that was set back, teaches nothing; one that a clock set
        forward makes long teaches no more than a half-life does.
        """
        since = max(since, until - HALF_LIFE)
        span = until - since
        if not _SHORTEST < span < math.inf:
            return estimate
        own = self._factor(estimate)
        parts = list(_parts(since, until, ends_at))
        exposures = [self._weights[bin_] * seconds for bin_, seconds in parts]
        exposure = sum(exposures)
        for (bin_, seconds), share in zip(parts, exposures, strict=True):
            self._found[bin_] += news * share / exposure
            self._expected[bin_] += own * seconds
        keep = 0.5 ** (span / HALF_LIFE)
        known = Estimate(estimate.news * keep + news, estimate.exposure * keep + exposure)
        self._count(estimate, -1.0)
        self._count(known, 1.0)
        self._weigh_now_and_then(news)
        return known

    def seed(self, history: History, until: float, ends_at: float | None = None) -> Estimate:
        """What is known of a target at its first poll, from what it shows by then."""
        since = max(until - HALF_LIFE, min(history.moments, default=until))
        news = [moment for moment in history.moments if since < moment <= until]  # the first one began the watch
        if not since < until:
            return NOTHING_SEEN
        parts = list(_parts(since, until, ends_at))
        exposure = sum(self._weights[bin_] * seconds for bin_, seconds in parts)
        known = Estimate(len(news) * history.weight, exposure)
        self._count(known, 1.0)
        own = self._factor(known)
        for moment in news:
            self._found[_bin(moment, ends_at)] += history.weight
        for bin_, seconds in parts:
            self._expected[bin_] += own * seconds
        self._weigh_now_and_then(len(news))
        return known

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def rate(self, estimate: Estimate, moment: float, ends_at: float | None = None) -> float:
        """Pieces of news a second to be expected at this moment (POSIX seconds). Always above 0."""
        return self._factor(estimate) * self._weights[_bin(moment, ends_at)]

    @property
    def usual(self) -> float:
        """Pieces of news a second of the average target."""
        shape, exposure = self._prior
        return shape / exposure

    def _factor(self, estimate: Estimate) -> float:
        shape, exposure = self._prior
        return max((shape + estimate.news) / (exposure + estimate.exposure), _LEAST * shape / exposure)

    # ── what all have in common ──────────────────────────────────────────────────────────────────────────────────────

    def _count(self, estimate: Estimate, sign: float) -> None:
        news, exposure = estimate.news, estimate.exposure
        self._news += sign * news
        self._exposure += sign * exposure
        self._news2 += sign * news * news
        self._both += sign * news * exposure
        self._exposure2 += sign * exposure * exposure
        mean = (max(self._news, 0.0) + 1.0) / (max(self._exposure, 0.0) + 1.0 / _USUAL)
        shape = self._shape(mean)
        self._prior = (shape, shape / mean)

    def _shape(self, mean: float) -> float:
        """By moments: counts of like targets would vary as a Poisson's do; what is more than that is unlikeness."""
        spread = self._news2 - 2 * mean * self._both + mean * mean * self._exposure2
        unlike = spread - mean * max(self._exposure, 0.0)
        expected = mean * mean * max(self._exposure2, 0.0)
        if expected < 1.0:  # nobody was watched for as long as one piece of news takes
            return _FIRST_SHAPE
        least, most = _SHAPES
        return most if unlike <= 0 else min(max(expected / unlike, least), most)

    def _weigh_now_and_then(self, news: int) -> None:
        self._stale += 1 + news
        if self._stale >= 50:
            self._weigh()

    def _weigh(self) -> None:
        """The profile: found news beside expected ones, drawn towards 1 as long as there are few.

        On average over the time watched it is 1: how much news there is at all is the factors' to say.
        """
        self._stale = 0
        scale = sum(self._found[:_ENDLESS]) / (sum(self._expected[:_ENDLESS]) or 1.0)
        for bin_ in range(_ENDLESS):
            usual = scale * self._expected[bin_]
            self._weights[bin_] = (self._found[bin_] + _PROFILE_WEIGHT) / (usual + _PROFILE_WEIGHT)


def _bin(moment: float, ends_at: float | None) -> int:
    if ends_at is None:
        return _ENDLESS
    left = ends_at - moment
    if left <= 0:
        return _OVER
    if left < _HOUR:
        return 1
    return min(2 + int(math.log2(left / _HOUR)), _ENDLESS - 1)


def _parts(since: float, until: float, ends_at: float | None) -> Iterator[tuple[int, float]]:
    """The span, cut where the profile changes: (bin, seconds)."""
    first, last = _bin(since, ends_at), _bin(until, ends_at)
    moment = since
    for bin_ in range(first, last, -1):
        assert ends_at is not None, "without an end there is one bin"
        edge = ends_at - (_HOUR * 2.0 ** (bin_ - 2) if bin_ > 1 else 0.0)
        if edge > moment:
            yield bin_, edge - moment
            moment = edge
    if until > moment:
        yield last, until - moment


class Experience:
    """The rates of all kinds of targets, over the estimates that targets carry."""

    def __init__(self) -> None:
        self._kinds: dict[str, Rates] = {}

    def dump(self) -> dict[str, dict[str, list[float]]]:
        """What the polls of all targets have taught together, as plain JSON values."""
        return {kind: rates.dump() for kind, rates in self._kinds.items()}

    def restore(self, kinds: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Go on from what `dump` gave."""
        for kind, profile in kinds.items():
            self._kinds.setdefault(kind, Rates()).restore(profile)

    def recount(self, targets: Iterable[Target]) -> None:
        """These are all there are: what they have in common is found from them alone."""
        for rates in self._kinds.values():
            rates.forget()
        for target in targets:
            self._of(target).join(Estimate(target.news, target.exposure))

    def watched(self, target: Target, until: float, news: int, history: History = NO_HISTORY) -> Target:
        """The target with what a complete poll at `until` (POSIX seconds) teaches. Of the first one, when everything
        is new, only `history` tells anything."""
        rates = self._of(target)
        if target.polled_at is None:
            seen = rates.seed(history, until, target.ends_at)
        else:
            known = Estimate(target.news, target.exposure)
            seen = rates.observe(known, target.polled_at, until, news, target.ends_at)
        return replace(target, news=seen.news, exposure=seen.exposure)

    def rate(self, target: Target, moment: float) -> float:
        """Pieces of news a second to be expected of a target at a moment (POSIX seconds)."""
        return self._of(target).rate(Estimate(target.news, target.exposure), moment, target.ends_at)

    def _of(self, target: Target) -> Rates:
        kind = target.scope.kind
        if kind not in self._kinds:
            self._kinds[kind] = Rates()
        return self._kinds[kind]
