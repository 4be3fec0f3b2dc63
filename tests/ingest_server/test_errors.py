import inspect

from ingest_server import errors


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = [line.replace("│", " ") for line in (errors.__doc__ or "").splitlines() if "──" in line]
    named = {line.split("── ")[1].split()[0] for line in drawn}
    classes = {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.IngestError) and kind is not errors.IngestError
    }
    assert named == classes


def test_an_error_that_ends_the_start_names_the_remedy() -> None:
    error = errors.IncompatibleTable("table t lacks column a", remedy="add it")
    assert str(error) == "table t lacks column a: add it"
    assert isinstance(error, errors.StartRefused)


def test_every_refusal_of_a_request_has_status_title_and_type() -> None:
    found = errors.RequestRefused.__subclasses__()
    assert found
    for kind in found:
        assert 400 <= kind.status < 600
        assert kind.title
        assert kind.kind == kind.kind.lower()
        assert kind("words").detail == "words"
