from itertools import islice

import pytest

from loadtests.faults.catalogue import BY_NAME, FAULTS
from loadtests.faults.needs import Needs, NotPossible
from loadtests.faults.schedule import Round, rounds


def plan(seed, *, faults=FAULTS, count=60, mixed=False, endless=True):
    found = rounds(faults, seed=seed, items=1000, strikes=1, mixed=mixed, endless=endless)
    return list(islice(found, count))


def told(ones):
    return [(one.name, [(moment.share, moment.fault.name) for moment in one.moments()]) for one in ones]


def test_the_seed_decides_everything():
    assert told(plan(3)) == told(plan(3))
    assert told(plan(3)) != told(plan(4))
    first, again = (moment.chance(3).random() for moment in plan(3)[0].moments() * 2)
    assert first == again


def test_every_fault_comes_alone_before_the_first_mixture():
    ones = plan(1, count=len(FAULTS) + 20)
    assert [one.name for one in ones[: len(FAULTS)]] == [fault.name for fault in FAULTS]
    assert {one.name for one in ones[len(FAULTS) :]} == {"mixed"}
    assert {len(one.faults) for one in ones[len(FAULTS) :]} == {2, 3}
    assert len(plan(1, endless=False)) == len(FAULTS)


def test_the_command_of_a_round_runs_that_round():
    faults = [BY_NAME["server-kill"], BY_NAME["read-only"], BY_NAME["crawl-kill"]]
    mixture = plan(5, faults=faults, count=9)[-1]
    words = mixture.again.split()
    names = [words[place + 1] for place, word in enumerate(words) if word == "--fault"]
    seed = int(words[words.index("--seed") + 1])
    (again,) = plan(seed, faults=[BY_NAME[name] for name in names], mixed=True, endless=False)
    assert told([again]) == told([mixture])


def test_names_are_given_once():
    assert len(BY_NAME) == len(FAULTS)


def test_a_mixture_fits_into_one_world():
    for one in plan(1, count=400):
        needs = Needs()
        for fault in one.faults:
            needs = needs.and_(fault.needs)
    with pytest.raises(NotPossible):
        Needs(small_disk="journal").and_(Needs(small_disk="spool"))


def test_the_name_of_a_round():
    assert Round(FAULTS[:1], 1, 1).name == FAULTS[0].name
    assert Round(FAULTS[:2], 1, 1).name == "mixed"
