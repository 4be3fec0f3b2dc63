"""The server's last word on a batch, checked: the same for a crawl and for whoever sends what it left."""

from scrapy_batching.wire.answers import Delivered, Outcome, Problem, Refused, TooLarge


def judged(outcome: Outcome, items: int) -> Outcome:
    """The outcome for a batch of so many items: delivered means all of them, too large means that there are halves."""
    match outcome:
        case Delivered(total=total) if total != items:
            # Some of it never arrived, or arrived as something else: what was sent must not be let go of.
            said = f"the server counted {total} of {items} items: look for a proxy that changes bodies"
            return Refused(Problem(200, "counts differ", said))
        case TooLarge(problem) if items < 2:
            return Refused(problem)
        case _:
            return outcome
