from collections import Counter

import pytest

from spiders.listings import Flaw, listings, sound


def test_the_same_seed_gives_the_same_listings_and_another_seed_others():
    assert listings(count=50, seed=3) == listings(count=50, seed=3)
    listings.cache_clear()
    again = listings(count=50, seed=3)
    listings.cache_clear()
    assert listings(count=50, seed=3) == again
    assert listings(count=50, seed=4) != again


def test_every_flaw_is_there_and_most_listings_are_sound():
    flaws = Counter(listing.flaw for listing in listings(count=1000, seed=7))
    assert set(flaws) == {None, *Flaw}
    assert flaws[None] == 970
    assert len(sound(listings(count=1000, seed=7))) == 970


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_a_site_may_be_small(count):
    assert len(listings(count=count, seed=7, round=2)) == count


def test_between_two_rounds_only_prices_and_their_times_change_and_only_forwards():
    before, after = listings(count=400, seed=7, round=0), listings(count=400, seed=7, round=1)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 47  # 12 % of 388 sound ones, rounded up
    for old, new in changed:
        assert new.price != old.price
        assert new.price > 0
        assert new.updated_at > old.updated_at
        assert old.flaw is None
        differing = {name for name in vars(old) if getattr(old, name) != getattr(new, name)}
        assert differing == {"price", "updated_at"}


def test_a_reference_names_one_listing():
    assert len({listing.reference for listing in listings(count=1000, seed=7)}) == 1000
