"""Numbers of things in words, one or many."""


def in_items(items: int) -> str:
    """How many items."""
    return f"{items} {'item' if items == 1 else 'items'}"


def in_batches(items: int, batches: int) -> str:
    """Both numbers in words."""
    return f"{in_items(items)} in {batches} {'batch' if batches == 1 else 'batches'}"
