"""The paper's claims that one row is better than another: what the printed numbers allow, and what our rows show."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmran.config.claims import Claim
from mmran.statistics.comparisons import LEVEL, Comparison, compare, with_holm
from mmran.statistics.intervals import Bootstrap
from mmran.statistics.rows import Row

PRINTED_SLICES = 306
"""Every accuracy that the paper prints is a number of slices out of 306."""


@dataclass(frozen=True)
class PrintedTest:
    """What two printed accuracies allow at best.

    Attributes:
        best_p: exact McNemar p under the most favorable pairing, in which the better network is right on every slice
            that the worse one gets right.
        max_discordant: the most slices on which the two may disagree for p to stay within .05; None if even the most
            favorable pairing exceeds it.
    """

    best_p: float
    max_discordant: int | None


@dataclass(frozen=True)
class Verdict:
    """One claim, tested.

    Attributes:
        sentence, row, against, metric: as in `Claim`.
        printed_row, printed_against: the paper's values.
        best_p, max_discordant: as in `PrintedTest`; None where the paper prints no accuracy.
        ours_row, ours_against, difference, low, high, p, p_holm: of our rows; None where they lack the metric.
        n_seeds, n_families: how many.
        protocol: of our rows.
        verdict: "supported" or "contradicted" where our rows differ significantly, each trained with three seeds or
            more; "indistinguishable" where they do not differ; "untestable" where a row is absent or at chance, or
            where rows of fewer seeds differ, which compares sets of weights, not methods.
    """

    sentence: str
    row: str
    against: str
    metric: str
    printed_row: float | None
    printed_against: float | None
    best_p: float | None
    max_discordant: int | None
    ours_row: float | None
    ours_against: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    n_seeds: int
    n_families: int
    protocol: str
    verdict: str


def slices_of(printed_percent: float, n: int = PRINTED_SLICES) -> int | None:
    """The number of slices k whose share of n prints as this percentage with two decimals; None if there is none."""
    k = round(printed_percent / 100 * n)
    return k if 0 <= k <= n and abs(100 * k / n - printed_percent) < 0.005 + 1e-9 else None


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p of slices that only one of two networks gets right.

    Source: McNemar 1947, by the binomial distribution.
    """
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


def printed_test(printed_a: float, printed_b: float, n: int = PRINTED_SLICES) -> PrintedTest | None:
    """Test two printed accuracies as far as their rounding allows; None if one is not a share of n slices."""
    k_a, k_b = slices_of(printed_a, n), slices_of(printed_b, n)
    if k_a is None or k_b is None:
        return None
    ahead = abs(k_a - k_b)
    # Each further pair of opposite disagreements raises p; there are at most as many as the worse network gets right
    # and the better one gets wrong.
    most = min(min(k_a, k_b), n - max(k_a, k_b))
    within = [both for both in range(most + 1) if mcnemar_exact(ahead + both, both) <= LEVEL]
    return PrintedTest(mcnemar_exact(ahead, 0), ahead + 2 * max(within) if within else None)


def judge(claims: Sequence[Claim], rows: Mapping[str, Row], bootstrap: Bootstrap | None = None) -> list[Verdict]:
    """Test every claim on our rows.

    Args:
        claims: of the paper.
        rows: label -> row; a claim that names an absent row is untestable.
        bootstrap: of the rows' families, shared with other statistics; made here if None.

    Returns:
        One verdict per claim; Holm's correction runs over all claims of one metric.
    """
    testable = [claim for claim in claims if claim.row in rows and claim.against in rows]
    tested = with_holm([compare(rows[claim.row], rows[claim.against], claim.metric, bootstrap) for claim in testable])
    found = {id(claim): comparison for claim, comparison in zip(testable, tested, strict=True)}
    return [_verdict(claim, found.get(id(claim)), rows.get(claim.row)) for claim in claims]


def _verdict(claim: Claim, found: Comparison | None, row: Row | None) -> Verdict:
    printed = None
    if claim.metric == "acc" and claim.printed_row is not None and claim.printed_against is not None:
        printed = printed_test(claim.printed_row, claim.printed_against)
    return Verdict(
        sentence=claim.sentence,
        row=claim.row,
        against=claim.against,
        metric=claim.metric,
        printed_row=claim.printed_row,
        printed_against=claim.printed_against,
        best_p=None if printed is None else printed.best_p,
        max_discordant=None if printed is None else printed.max_discordant,
        ours_row=found.estimate if found else None,
        ours_against=found.against_estimate if found else None,
        difference=found.difference if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        p=found.p if found else None,
        p_holm=found.p_holm if found else None,
        n_seeds=min(found.n_seeds, found.against_n_seeds) if found else 0,
        n_families=found.n_families if found else 0,
        protocol=found.protocol if found else "",
        verdict=_word(found, row),
    )


def _word(found: Comparison | None, row: Row | None) -> str:
    if found is None or row is None or found.p_holm is None:
        return "untestable"
    if found.p_holm > LEVEL:
        return "indistinguishable"
    if found.certifies != "methods":
        return "untestable"
    better = found.row_is_better(row.metric(found.metric).lower_is_better)
    return "supported" if better else "contradicted"
