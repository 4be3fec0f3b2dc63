"""Settings: flags before variables before the file, every mistake at once, no secret in a message."""

from pathlib import Path

import pytest

from ingest_server.errors import StartRefused
from ingest_server.model import Merge, Mode, TableName, TableOptions
from ingest_server.settings import Settings, environment_name, flag_name


def write(text: str) -> Path:
    Path("ingest.toml").write_text(text)
    return Path("ingest.toml")


def refusal(flags: dict | None = None, config: Path | None = None) -> str:
    with pytest.raises(StartRefused) as refused:
        Settings.read(flags or {}, config)
    assert refused.value.remedy
    return str(refused.value)


def test_without_any_setting_it_listens_on_loopback_with_an_embedded_database() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.database, settings.schema_) == ("127.0.0.1", 8800, None, "public")
    assert settings.data_dir == Path(".ingest")
    assert settings.memory_bytes > 2**28


def test_flags_win_over_variables_and_variables_over_the_file(monkeypatch) -> None:
    write("port = 1\nworkers = 2\nqueue_items = 3\n")
    monkeypatch.setenv("INGEST_WORKERS", "20")
    monkeypatch.setenv("INGEST_QUEUE_ITEMS", "30")
    settings = Settings.read({"queue_items": "300"})
    assert (settings.port, settings.workers, settings.queue_items) == (1, 20, 300)


def test_names_follow_from_the_field() -> None:
    assert (environment_name("schema_"), flag_name("schema_")) == ("INGEST_SCHEMA", "--schema")
    assert (environment_name("max_item_bytes"), flag_name("max_item_bytes")) == (
        "INGEST_MAX_ITEM_BYTES",
        "--max-item-bytes",
    )


def test_every_setting_can_be_a_variable_and_stand_in_the_file(monkeypatch) -> None:
    monkeypatch.setenv("INGEST_SCHEMA", "own")
    monkeypatch.setenv("INGEST_TABLES", "shop.tables, more")
    monkeypatch.setenv("INGEST_CREATE_TABLES", "false")
    settings = Settings.read({})
    assert (settings.schema_, settings.tables, settings.create_tables) == ("own", ["shop.tables", "more"], False)
    for name in ("INGEST_SCHEMA", "INGEST_TABLES", "INGEST_CREATE_TABLES"):
        monkeypatch.delenv(name)
    settings = Settings.read({}, write('schema = "other"\ntables = ["a"]\ndatabase = "postgresql://x"\n').absolute())
    assert (settings.schema_, settings.tables) == ("other", ["a"])


def test_the_file_says_how_a_table_is_written() -> None:
    write(
        'schema = "own"\n[table.things]\nmode = "ignore"\n[table."public.\\"a.b\\""]\nnewest_by = "seen"\ncatch_all = "more"\n'
        '[table.patched]\nmerge = "patch"\n'
    )
    assert Settings.read({}).table_options == {
        TableName("own", "things"): TableOptions(Mode.IGNORE),
        TableName("public", "a.b"): TableOptions(None, "seen", "more"),
        TableName("own", "patched"): TableOptions(merge=Merge.PATCH),
    }
    write("[table.a.b]\n")
    assert "table.a.b" in refusal()
    write('[table."a.b.c"]\n')
    with pytest.raises(StartRefused, match=r"a\.b\.c"):
        _ = Settings.read({}).table_options


def test_every_mistake_is_named_at_once() -> None:
    write("nonsense = 1\nport = 70000\n[table.t]\nmode = 'merge'\n")
    text = refusal({"workers": "0", "log_level": "loud"})
    for name in ("nonsense", "port = 70000", "--workers 0", "--log-level loud", "table.t.mode = merge"):
        assert name in text


def test_a_mistake_names_what_was_written_where_and_what_to_write(monkeypatch) -> None:
    assert "--port abc: write a whole number" in refusal({"port": "abc"})
    assert "--port 70000: write a number that is at most 65535" in refusal({"port": "70000"})
    assert "--log-level loud: write debug, info, warning or error" in refusal({"log_level": "loud"})
    assert "--journal maybe: write on or off" in refusal({"journal": "maybe"})
    write('workres = 3\nschema = 4\n[table.t]\nmodes = "append"\n')
    text = refusal()
    assert "workres in ingest.toml: there is no such setting, did you mean workers?" in text
    assert "schema = 4 in ingest.toml: " in text
    assert "table.t.modes in ingest.toml: there is no such setting, did you mean mode?" in text
    monkeypatch.setenv("INGEST_PORT", "abc")
    assert "INGEST_PORT=abc: write a whole number" in refusal()
    assert "INGEST_PORT" not in refusal({"port": "0"}), "the flag wins"


def test_a_variable_that_nobody_reads_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("INGEST_WORKRES", "3")
    monkeypatch.setenv("INGEST_CONFIG", "")
    assert "INGEST_WORKRES: there is no such setting, did you mean INGEST_WORKERS?" in refusal()
    assert "INGEST_WORKRES" in refusal({"port": "abc"}), "with the other mistakes"
    monkeypatch.delenv("INGEST_WORKRES")
    monkeypatch.setenv("INGEST_ZZZ", "")
    assert "INGEST_ZZZ: there is no such setting:" in refusal()
    monkeypatch.delenv("INGEST_ZZZ")
    monkeypatch.setenv("ingest_workers", "3")
    assert Settings.read({}).workers == 3


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert "there is no file none.toml" in refusal(config=Path("none.toml"))
    write("this is no toml")
    assert "ingest.toml" in refusal()


def test_a_variable_that_should_hold_json_and_does_not_is_named(monkeypatch) -> None:
    monkeypatch.setenv("INGEST_TABLE", "{nonsense")
    text = refusal()
    assert "table" in text
    assert "ingest.toml" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_listened_on(host: str) -> None:
    assert Settings.read({"host": host}).host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.0.1", "localhost.example", "127.0.0.1.example", "example"]
)
def test_beyond_loopback_nobody_listens_without_tokens(host: str) -> None:
    assert "not loopback" in refusal({"host": host})


def test_a_password_is_never_shown() -> None:
    database = "postgresql://me:do-not-show-me@host/name"
    assert "do-not-show-me" not in repr(Settings.read({"database": database}))
    assert "do-not-show-me" not in refusal({"database": database, "port": "x"})


@pytest.mark.parametrize(
    "database",
    [
        "mysql://do-not-show-me@host/name",
        "host=x password=do-not-show-me",
        "postgresql://me@host:do-not-show-me/name",
        "postgresql://me:5/do-not-show-me@host/name",
        "postgresql://me:5#do-not-show-me@host/name",
        "postgresql://me:5@do-not-show-me@host/name",
        "postgresql://me:5?do-not-show-me@host/name#x",
    ],
)
def test_what_is_no_connection_string_is_said_without_it(database: str) -> None:
    said = refusal({"database": database})
    assert "--database (not shown): no connection string: write postgresql://user@host:5432/name" in said
    assert "do-not-show-me" not in said


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://",
        "postgres://me@/name?host=%2Ftmp%2Fsocket",
        "postgresql://me:100%25@one:5432,two:5433,three/name?target_session_attrs=read-write",
        "postgresql://host?user=me@there",
    ],
)
def test_every_form_of_a_connection_string_is_taken(database: str) -> None:
    found = Settings.read({"database": database}).database
    assert found is not None
    assert found.get_secret_value() == database
