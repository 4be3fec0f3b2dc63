"""How much of a queue's room parked tables may take, so that others find room."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Parts of the whole: of one parked table, and of all of them together."""

    one: float = 0.25
    together: float = 0.5

    def is_taken(self, batches: int, own: int, parked: int, more: int, *, of: int) -> bool:
        """Whether `more` is too much where the table has `own` and all parked tables have `parked`, of so much room.

        A table without any batch may have one.
        """
        return batches > 0 and (own + more > self.one * of or parked + more > self.together * of)


USUAL_SHARE = Share()
