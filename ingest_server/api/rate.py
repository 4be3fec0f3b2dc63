"""429: an owner that sends more a second than it may waits, and is told how long."""

import contextlib
import math
import random
from collections.abc import Iterator

from aiohttp import web

from ingest_server.api.context import CONTEXT, GRANT
from ingest_server.errors import Overloaded, TooManyRequests
from ingest_server.tokens.rates import Budget

_MOST_SECONDS = 60


def budget_of(request: web.Request) -> Budget:
    """The budget of whoever asks. Raises `TooManyRequests` where it is in debt, so that no body is read in vain."""
    budget = request.app[CONTEXT].access.budgets.of(request[GRANT])
    _check(budget)
    return budget


@contextlib.contextmanager
def spending(budget: Budget, items: int, size: int) -> Iterator[None]:
    """Take a batch out of the budget; what was not kept for want of room is given back. Raises `TooManyRequests`.

    Asked again, for others of the same owner may have come in while the body arrived.
    """
    _check(budget)
    budget.take(items, size)
    try:
        yield
    except Overloaded:
        budget.take(-items, -size)
        raise


def _check(budget: Budget) -> None:
    seconds = budget.seconds
    if seconds > 0:
        # with jitter: all that were refused together would come back together
        wait = max(1, min(_MOST_SECONDS, math.ceil(seconds * random.uniform(1.0, 1.25))))
        raise TooManyRequests("this owner has sent more items or bytes than its rate allows", retry_after=wait)
