"""Settings: read at once, refused at once, with a remedy."""

import re
from pathlib import Path

import pytest
from scrapy.settings import Settings as ScrapySettings

from scrapy_batching.errors import Mistake, SettingsRefused
from scrapy_batching.settings.options import OPTIONS, Settings
from scrapy_batching.settings.places import high_water, spool_directory
from scrapy_batching.settings.reading import is_enabled, read_settings

DOCS = Path(__file__).parents[3] / "docs" / "settings-client.md"


def read(**values):
    return read_settings(ScrapySettings(values))


def test_nothing_has_to_be_set():
    assert read() == Settings()


def test_none_means_the_default_for_every_setting():
    assert read(**{one.name: None for one in OPTIONS}) == Settings()


def test_a_setting_that_nobody_reads_is_refused_with_the_one_that_was_meant():
    with pytest.raises(SettingsRefused, match="BATCHING_BATCH_ITEM = '5': did you mean BATCHING_BATCH_ITEMS"):
        read(BATCHING_BATCH_ITEM="5")
    with pytest.raises(SettingsRefused, match=r"BATCHING_XYZZY_PLUGH = .*: there is no such setting: remove it"):
        read(BATCHING_XYZZY_PLUGH=1)


def test_the_command_line_gives_texts():
    settings = read(
        BATCHING_ENABLED="False",
        BATCHING_BATCH_ITEMS="50",
        BATCHING_BATCH_AGE="0.5",
        BATCHING_COMPRESSION="gzip",
        BATCHING_URL=" https://ingest.example/base/ ",
        BATCHING_CRAWL_ID="mine",
    )
    assert settings == Settings(
        enabled=False,
        batch_items=50,
        batch_age=0.5,
        compression="gzip",
        url="https://ingest.example/base/",
        crawl_id="mine",
    )


def test_all_mistakes_come_at_once_each_with_setting_value_and_remedy():
    with pytest.raises(ValueError, match="cannot be used") as caught:
        read(
            BATCHING_ENABLED="perhaps",
            BATCHING_BATCH_ITEMS="many",
            BATCHING_BATCH_BYTES=0,
            BATCHING_TIMEOUT="nan",
            BATCHING_CONCURRENCY=2.5,
            BATCHING_COMPRESSION="zip",
            BATCHING_URL="ftp://x",
            BATCHING_CRAWL_ID="späße",
            BATCHING_HIGH_WATER_BYTES=1,
        )
    assert isinstance(caught.value, SettingsRefused)
    mistakes = {one.setting.removeprefix("BATCHING_"): one for one in caught.value.mistakes}
    assert set(mistakes) == {
        "ENABLED",
        "BATCH_ITEMS",
        "BATCH_BYTES",
        "TIMEOUT",
        "CONCURRENCY",
        "COMPRESSION",
        "URL",
        "CRAWL_ID",
        "HIGH_WATER_BYTES",
    }
    assert all(str(one) in str(caught.value) and one.remedy for one in mistakes.values())
    assert mistakes["BATCH_ITEMS"].value == "'many'"


@pytest.mark.parametrize("what", ["ITEMS", "BYTES"])
def test_high_water_holds_two_batches(what):
    with pytest.raises(SettingsRefused, match=f"BATCHING_HIGH_WATER_{what} = 19: write at least twice .* \\(20\\)"):
        read(**{f"BATCHING_HIGH_WATER_{what}": 19, f"BATCHING_BATCH_{what}": 10})


@pytest.mark.parametrize("what", ["ITEMS", "BYTES"])
def test_high_water_is_held_against_the_default_where_the_batch_cannot_be_read(what):
    with pytest.raises(SettingsRefused) as caught:
        read(**{f"BATCHING_BATCH_{what}": "x", f"BATCHING_HIGH_WATER_{what}": "1"})
    assert [one.setting for one in caught.value.mistakes] == [f"BATCHING_BATCH_{what}", f"BATCHING_HIGH_WATER_{what}"]


def test_high_water_fits_the_place_where_items_wait():
    assert high_water(read()) == (10_000_000, 4_000_000_000)
    assert high_water(read(BATCHING_SPOOL=False)) == (10_000, 64_000_000)
    assert high_water(read(BATCHING_SPOOL=False, BATCHING_BATCH_ITEMS=9_000)) == (18_000, 64_000_000)
    assert high_water(read(BATCHING_HIGH_WATER_ITEMS=2_000, BATCHING_HIGH_WATER_BYTES=5_000_000)) == (2_000, 5_000_000)


def test_what_to_do_at_high_water_is_one_of_three():
    with pytest.raises(SettingsRefused, match="BATCHING_WHEN_FULL = 'wait': write block, stop or drop"):
        read(BATCHING_WHEN_FULL="wait")


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@host:1",
        "https://s3cret@host",
        "me:s3cret@host:1",
        "//me:s3cret@host",
        "http://a@s3cret@[::1",
        "http://host/?token=s3cret",
        "http://host/#s3cret",
        "http://me:s3cret@host/?s3cret",
    ],
)
def test_credentials_in_the_address_are_refused_and_never_shown(url):
    with pytest.raises(SettingsRefused, match="BATCHING_URL") as caught:
        read(BATCHING_URL=url)
    assert "s3cret" not in str(caught.value)
    assert ("BATCHING_TOKEN" in str(caught.value)) == ("@" in url)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8800", "http://", "http://h:99999", "http://[::1", "http://h/?a=1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(SettingsRefused, match="BATCHING_URL"):
        read(BATCHING_URL=url)


def test_the_token_is_never_shown():
    with pytest.raises(SettingsRefused) as caught:
        read(BATCHING_TOKEN="Bearer s3cret")
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(read(BATCHING_TOKEN="s3cret"))


def test_the_spool_lies_where_it_is_set_else_with_the_job_else_with_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    job = ScrapySettings({"JOBDIR": "/job"})
    assert spool_directory(Settings(spool_dir="/here"), job) == Path("/here")
    assert spool_directory(Settings(), job) == Path("/job/batching")
    named = spool_directory(Settings(), ScrapySettings({"BOT_NAME": "shop"}))
    assert named.parts[-2:] == ("scrapy-batching", "shop")
    assert not named.exists()


def test_every_setting_has_its_row_in_the_docs_with_its_default():
    rows = dict(re.findall(r"^\| `(BATCHING_\w+)` \| ([^|]+) \|", DOCS.read_text(), re.MULTILINE))
    assert list(rows) == [one.name for one in OPTIONS]
    for one in OPTIONS:
        assert rows[one.name].strip() == f"`{one.default!r}`"


def test_every_setting_says_why_and_in_what_unit():
    for one in OPTIONS:
        assert one.why
        assert one.unit or not isinstance(one.default, int | float) or isinstance(one.default, bool)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("ENABLED", "perhaps", "write True or False"),
        ("ENABLED", 2, "write True or False"),
        ("BATCH_ITEMS", True, "write a whole number"),
        ("BATCH_ITEMS", "", "write a whole number, as in BATCHING_BATCH_ITEMS = 500"),
        ("BATCH_ITEMS", "inf", "write a whole number"),
        ("BATCH_ITEMS", [5], "write a whole number"),
        ("BATCH_AGE", False, "write a number"),
        ("BATCH_AGE", "5s", "write a number"),
        ("BATCH_AGE", 0, "write 0.01 or more"),
        ("BATCH_AGE", float("inf"), "write a number of seconds, not inf or nan"),
        ("DEADLINE", "nan", "write a number of seconds, not inf or nan, as in BATCHING_DEADLINE = 0.0"),
        ("TOKEN", b"s3cret", "write a text"),
        ("CRAWL_ID", 5, "write a text"),
        ("START_CHECK", False, "write a text, as in BATCHING_START_CHECK = 'off'"),
        ("START_CHECK", "yes", "write off, warn or fail"),
        ("ON_FAILURE", "wait", "write spool, stop or drop"),
        ("HEADERS", "X-Key: s3cret", "this is no JSON at character 1"),
        ("HEADERS", '{"X-Key": s3cret}', "this is no JSON at character 11"),
        ("RETRY_BASE", 31, "write no more than BATCHING_RETRY_MAX (30.0)"),
    ],
)
def test_a_value_of_another_type_is_not_guessed_at(name, value, remedy):
    with pytest.raises(SettingsRefused) as caught:
        read(**{f"BATCHING_{name}": value})
    (mistake,) = caught.value.mistakes
    assert mistake.setting == f"BATCHING_{name}"
    assert remedy in mistake.remedy
    assert "s3cret" not in str(mistake)


def test_paths_are_texts():
    assert read(BATCHING_SPOOL_DIR=Path("/here")).spool_dir == "/here"


@pytest.mark.parametrize("name", ["BATCHING_TOKN", "BATCHING_HEADER", "BATCHING_PASSWORD", "BATCHING_XYZZY"])
def test_what_a_misspelt_secret_holds_is_not_shown(name):
    with pytest.raises(SettingsRefused, match=rf"{name} = \(not shown\): ") as caught:
        read(**{name: "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_a_value_without_end_or_with_a_repr_that_fails_is_shown_all_the_same():
    class Broken:
        def __repr__(self):
            raise ValueError

    with pytest.raises(SettingsRefused, match=r"BATCHING_BATCH_ITEMS = a .*Broken: ") as caught:
        read(BATCHING_BATCH_ITEMS=Broken(), BATCHING_BATCH_BYTES="\n" * 1_000 + "x" * 1_000_000)
    assert len(str(caught.value)) < 1_000
    assert len(str(caught.value).splitlines()) == 3


def test_what_the_crawl_s_place_has_to_say_comes_with_the_rest_and_nothing_twice():
    found = [Mistake("BATCHING_SPOOL_DIR", "/x", "no"), Mistake("BATCHING_TABLES", "y", "no")]
    with pytest.raises(SettingsRefused) as caught:
        read_settings(ScrapySettings({"BATCHING_BATCH_ITEMS": 0, "BATCHING_TABLES": 5}), lambda _options: found)
    assert [one.setting.removeprefix("BATCHING_") for one in caught.value.mistakes] == [
        "TABLES",
        "BATCH_ITEMS",
        "SPOOL_DIR",
    ]


@pytest.mark.parametrize(("value", "is_on"), [(None, True), (True, True), ("1", True), (0, False), ("False", False)])
def test_whether_it_is_switched_on_is_known_before_anything_else(value, is_on):
    assert is_enabled(ScrapySettings({"BATCHING_ENABLED": value, "BATCHING_BATCH_ITEMS": "wrong"})) is is_on
    assert is_enabled(ScrapySettings({"BATCHING_ENABLED": "perhaps"})), "told among all mistakes"
