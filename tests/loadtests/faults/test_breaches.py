"""Each safeguard taken away on purpose: the laboratory must find it, and say how to run it again."""

import pytest

from tests.loadtests.faults.laboratory import laboratory

_OF = ("--items", "4000", "--seed")


@pytest.mark.parametrize(
    ("broken", "fault", "count", "seed"),
    [
        ("fsync", "power-loss-in-outage", "lost", 4),  # when all is sent: else crawls wait for what is lost, too
        ("drain", "server-kill-in-outage", "lost", 1),
        ("ledger", "kill-after-commit", "twice", 1),
        ("rename", "limit-raised", "twice", 1),
    ],
)
def test_a_breach_is_found(tmp_path, broken, fault, count, seed):
    code, result, said = laboratory(tmp_path, "--break", broken, "--fault", fault, *_OF, str(seed))
    assert code == 1, said
    assert result[count] > 0, said
    assert f"--fault {fault}" in result["failed"][0]["again"]
    assert f"--break {broken}" in result["failed"][0]["again"]
