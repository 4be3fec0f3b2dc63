"""Which items of the long crawl are bad, by their number from 0: spider and audit must agree."""

import math


def is_bad(number: int, every: int) -> bool:
    """One item in `every` is wrong."""
    return number % every == every - 1


def is_refused(number: int, every: int) -> bool:
    """Of five bad items four are found by validation, and this one by PostgreSQL's own CHECK."""
    return is_bad(number, every) and number // every % 5 == 4


def bad_among(items: int, every: int) -> int:
    """Bad ones among the first `items`."""
    return items // every


def keys_among(items: int, keys: int, every: int) -> int:
    """Different keys of the good ones among the first `items`."""
    whole = math.lcm(keys, every)  # then keys and bad ones meet as before
    return len({number % keys for number in range(min(items, whole)) if not is_bad(number, every)})
