import pytest

from loadtests.items import WIDE, Item, line, make_items

BATCH = 500


@pytest.fixture(scope="session")
def items() -> list[Item]:
    """A batch of wide items."""
    return make_items(WIDE, BATCH, seed=1)


@pytest.fixture(scope="session")
def lines(items: list[Item]) -> list[bytes]:
    """The same batch as NDJSON lines, line feeds included: about 1 KB each."""
    return [line(item) for item in items]


@pytest.fixture(scope="session")
def body(lines: list[bytes]) -> bytes:
    """The same batch as it is sent, about 500 KB."""
    return b"".join(lines)
