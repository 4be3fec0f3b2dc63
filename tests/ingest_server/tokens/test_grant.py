"""Whose token it is, and which tables it is for."""

import hmac

import pytest

from ingest_server.model import TableName
from ingest_server.tokens import grant
from ingest_server.tokens.grant import Known, Tables, digest, new_token
from ingest_server.tokens.section import TokenSection


def known(**tokens: str | list[str]) -> Known:
    hashes = {
        name: [digest(one).hex() for one in ([said] if isinstance(said, str) else said)]
        for name, said in tokens.items()
    }
    return Known({name: TokenSection(hash=found) for name, found in hashes.items()}, "public")


def test_a_token_speaks_for_its_name_and_no_other() -> None:
    tokens = known(a="one", b=["two", "three"])
    assert [getattr(tokens.find(one), "owner", None) for one in ("one", "two", "three", "four", "", "ONE", "one ")] == [
        *("a", "b", "b"),
        *(None, None, None, None),
    ]
    assert (len(tokens), tokens.owners) == (3, {"a", "b"})


def test_every_hash_is_compared_in_constant_time_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(right)
        return hmac.compare_digest(left, right)

    watched = type("watched", (), {"compare_digest": staticmethod(compare)})
    monkeypatch.setattr(grant, "hmac", watched)
    tokens = known(a="first", b="middle", c="last")
    counts = []
    for one in ("first", "last", "unknown", ""):
        compared.clear()
        tokens.find(one)
        counts.append(len(compared))
    assert counts == [3, 3, 3, 3]


def test_new_tokens_are_long_and_all_different_and_look_like_what_they_are() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(one.startswith("ingest_") and len(one) == 50 for one in made)


def test_bytes_that_are_no_text_are_an_unknown_token() -> None:
    assert known(a="one").find("\udcff") is None


@pytest.mark.parametrize(
    ("texts", "yes", "no"),
    [
        (["*"], ["a", "other.b", 'x."y.z"'], []),
        (["a", "other.b"], ["a", "public.a", "other.b"], ["b", "other.a"]),
        (["other.*"], ["other.a", 'other."*"'], ["a", "public.other", "others.a"]),
        (['"a.b".*'], ['"a.b".c'], ["a.b", "a"]),
        (['"*"'], ['"*"'], ["a", "other.b"]),
        (['"a*"', 'other."*b"', '"c*".*'], ['"a*"', 'other."*b"', '"c*".d'], ["ab", "other.b", "c.d"]),
        (["Case"], ["Case"], ["case"]),
        ([], [], ["a", "public.a"]),
    ],
)
def test_tables_are_named_whole_or_by_their_schema(texts: list[str], yes: list[str], no: list[str]) -> None:
    tables = Tables.parse(texts, "public")
    assert [name for name in yes if TableName.parse(name, "public") not in tables] == []
    assert [name for name in no if TableName.parse(name, "public") in tables] == []


@pytest.mark.parametrize("text", ["a*", "*a", "other.a*", "*.a", "a*.*", "*.*", "**", '"a"*'])
def test_a_pattern_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"nor one of the patterns schema\.\* and \*"):
        Tables.parse([text], "public")


@pytest.mark.parametrize("text", ["", ".*", "a.b.*", "a.b.c", '"', "a\0"])
def test_what_no_table_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="table"):
        Tables.parse([text], "public")


def test_one_token_under_two_names_is_refused() -> None:
    with pytest.raises(ValueError, match="a and under b"):
        known(a="same", b="same")


def test_a_schema_of_ones_own_is_what_a_bare_name_is_in() -> None:
    assert TableName("own", "a") in Tables.parse(["a"], "own")
    assert TableName("public", "a") not in Tables.parse(["a"], "own")
