"""The core that the pipeline and the Batcher stand on, with keys and items of any kind."""

from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.batching.growing import GrowingBatches, Growth
from tests.scrapy_batching.batching.times import Time

STEPS = st.lists(st.one_of(st.tuples(st.integers(0, 2), st.integers(0, 9)), st.sampled_from(["age", "all", "refuse"])))


class Shelf:
    """A place that takes nothing more once it is told so."""

    def __init__(self, key, *, refuses=False):
        self.key = key
        self.items = []
        self.refuses = refuses
        self.is_discarded = False

    def append(self, item):
        if self.refuses:
            raise OSError("full")
        self.items.append(item)

    def close(self, growth):
        return self.key, tuple(self.items), growth

    def discard(self):
        self.is_discarded = True


class Shelves:
    """Growing batches on shelves; all that were given."""

    def __init__(self, **limits):
        self.time = Time()
        self.given = []
        self.refuses = False
        self.batches = GrowingBatches(
            **({"most_items": 3, "most_bytes": 20, "most_age": 5.0} | limits),
            clock=self.time,
            place=lambda key: self._shelf(key, refuses=self.refuses),
            spare=lambda key: self._shelf(key, refuses=False),
        )

    def _shelf(self, key, *, refuses):
        self.given.append(Shelf(key, refuses=refuses))
        return self.given[-1]


@given(STEPS)
def test_every_item_leaves_once_in_the_order_of_its_key(steps):
    shelves, added, closed = Shelves(), [], []
    for number, step in enumerate(steps):
        if step == "age":
            shelves.time.now += 3
            closed += shelves.batches.close_due()
        elif step == "all":
            closed += shelves.batches.close_all("idle")
        elif step == "refuse":
            shelves.refuses = not shelves.refuses
            for shelf in shelves.given:
                shelf.refuses = shelves.refuses
        else:
            key, size = step
            added.append((key, number))
            closed += shelves.batches.add(key, number, size)
    closed += shelves.batches.close_all("close")
    for key in range(3):
        assert [item for at, items, _ in closed if at == key for item in items] == [n for at, n in added if at == key]
    for _key, items, growth in closed:
        assert growth.total == len(items) >= 1
        assert growth.total <= 3
        assert growth.size <= 20
    assert shelves.batches.items == 0


def test_a_place_that_takes_nothing_at_all_is_let_go_of():
    shelves = Shelves()
    shelves.refuses = True
    assert shelves.batches.add("key", "item", 4) == ()
    broken, spare = shelves.given
    assert (broken.is_discarded, broken.items, spare.items) == (True, [], ["item"])
    assert shelves.batches.close_all("idle") == (("key", ("item",), Growth(1, 4, 100.0, "idle")),)


def test_a_place_that_takes_no_more_is_closed_as_it_is():
    shelves = Shelves()
    shelves.batches.add("key", 1, 4)
    shelves.given[0].refuses = True
    assert shelves.batches.add("key", 2, 4) == (("key", (1,), Growth(1, 4, 100.0, "disk")),)
    assert shelves.batches.items == 1
