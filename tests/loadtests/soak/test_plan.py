from itertools import pairwise

import pytest

from loadtests.soak.numbers import bad_among, is_bad, is_refused, keys_among
from loadtests.soak.plan import Kind, faults

PLANNED = set(Kind) - {Kind.crawl}  # the short crawls have a rhythm of their own


def test_the_seed_decides_the_faults():
    assert faults(1800, 1) == faults(1800, 1)
    assert faults(1800, 1) != faults(1800, 2)


@pytest.mark.parametrize("seconds", [3, 9, 480, 1800])
def test_every_kind_happens_and_the_ends_are_quiet(seconds):
    for seed in range(20):
        planned = faults(seconds, seed)
        assert {fault.kind for fault in planned} == PLANNED
        assert all(0.05 * seconds <= fault.at < 0.95 * seconds for fault in planned)
        assert sum(fault.lasts for fault in planned) < seconds / 2
        assert all(fault.at <= later.at for fault, later in pairwise(planned))


def test_the_rhythm_of_half_an_hour():
    counts = {kind: sum(fault.kind is kind for fault in faults(1800, 1)) for kind in PLANNED}
    assert 100 <= counts[Kind.terminate] <= 320
    assert 5 <= counts[Kind.kill] <= 9


@pytest.mark.parametrize(
    ("items", "keys", "every"), [(5000, 300, 100), (5000, 301, 100), (99, 20, 100), (250, 1000, 7)]
)
def test_the_audit_counts_what_the_spider_makes(items, keys, every):
    good = [number for number in range(items) if not is_bad(number, every)]
    assert bad_among(items, every) == items - len(good)
    assert keys_among(items, keys, every) == len({number % keys for number in good})


def test_a_fifth_of_the_bad_ones_is_found_by_postgresql_only():
    assert [number for number in range(1000) if is_refused(number, 100)] == [499, 999]
