import random

import pytest

from loadtests.soak.verdict import JUDGED_SECONDS, MIB, SERIES, Series, judge

MEMORY = next(one for one in SERIES if one.name == "server_rss")
WAL = next(one for one in SERIES if one.name == "wal")
HALF_HOUR = [float(second) for second in range(1800)]


def memory(grows_by=0.0, *, seed=1):
    """100 MiB with some noise, and MiB that are added over the run."""
    chance = random.Random(seed)
    return [(100 + chance.uniform(-3, 3) + grows_by * at / 1800) * MIB for at in HALF_HOUR]


def test_a_leak_is_found():
    verdict = judge(MEMORY, HALF_HOUR, memory(grows_by=60))
    assert verdict.flat is False
    assert verdict.drift == pytest.approx(30 * MIB, rel=0.1)
    assert verdict.per_day == pytest.approx(60 * 48 * MIB, rel=0.1)


def test_a_steady_series_is_flat_and_so_is_one_that_falls():
    for values in (memory(), memory(grows_by=-80)):
        assert judge(MEMORY, HALF_HOUR, values).flat is True


def test_spikes_move_nothing():
    values = memory()
    for at in range(1400, 1800, 5):  # a fifth of the last quarter
        values[at] *= 10
    verdict = judge(MEMORY, HALF_HOUR, values)
    assert verdict.flat is True
    assert verdict.peak > 900 * MIB
    assert abs(verdict.per_day) < 100 * MIB


def test_what_grows_at_the_start_only_is_warm_up():
    values = [(40 + 60 * min(1.0, at / 300)) * MIB for at in HALF_HOUR]
    assert judge(MEMORY, HALF_HOUR, values).flat is True


def test_a_step_in_the_second_half_is_found():
    values = [(100 if at < 1000 else 130) * MIB for at in HALF_HOUR]
    assert judge(MEMORY, HALF_HOUR, values).flat is False


def test_small_numbers_have_a_slack_of_their_own():
    files = Series("files", "files", slack=8)
    assert judge(files, HALF_HOUR, [10.0 if at < 900 else 18.0 for at in HALF_HOUR]).flat is True
    assert judge(files, HALF_HOUR, [10.0 if at < 900 else 19.0 for at in HALF_HOUR]).flat is False


def test_the_log_of_postgresql_may_fill_what_it_was_given_and_no_more():
    def grown(to):
        return [(20.0 if at < 900 else to) * MIB for at in HALF_HOUR]

    assert judge(WAL, HALF_HOUR, grown(300)).flat is True
    assert judge(WAL, HALF_HOUR, grown(340)).flat is False


def test_outages_are_gaps_and_a_series_that_nobody_could_read_is_not_flat():
    gaps = [None if 600 <= at < 700 else 5.0 for at in HALF_HOUR]
    files = Series("files", "files", slack=8)
    assert judge(files, HALF_HOUR, gaps).flat is True
    assert judge(files, HALF_HOUR, [None if at > 1200 else 5.0 for at in HALF_HOUR]).flat is False
    nothing = judge(files, HALF_HOUR, [None for _ in HALF_HOUR])
    assert (nothing.flat, nothing.peak, nothing.drift, nothing.per_day) == (False, None, None, None)


def test_what_is_not_judged_and_what_is_too_short():
    growing = [float(at) for at in HALF_HOUR]
    assert judge(Series("rate", "rate"), HALF_HOUR, growing).flat is None
    short = HALF_HOUR[: int(JUDGED_SECONDS) - 1]
    assert judge(MEMORY, short, [at * MIB for at in short]).flat is None
