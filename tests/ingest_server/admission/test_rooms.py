"""What each body may take of the memory for all of them, and who must go where it does not suffice."""

import pytest

from ingest_server.admission import Room, Rooms

MIB = 2**20
KIB = 2**10


class Refused(Exception):
    def __init__(self, others: int, is_cut: bool) -> None:
        self.others = others
        self.is_cut = is_cut


class World:
    def __init__(self, most: int = 64 * MIB) -> None:
        self.now = 1000.0
        self.held = 0
        self.cut: list[Room] = []
        self.rooms = Rooms(lambda: self.now, lambda: self.held, most, Refused)

    def enter(self, expected: int | None = None) -> Room:
        room = self.rooms.enter(expected)
        room.when_cut = lambda: self.cut.append(room)
        return room

    def fill_slowly(self, count: int, each: int, seconds: float = 60.0) -> list[Room]:
        """So many bodies of 50 MB of which so much has arrived, in so many seconds."""
        found = []
        for _ in range(count):
            room = self.enter()
            room.take(each)
            found.append(room)
        self.now += seconds
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_who_announces_fifty_megabytes_reserves_what_it_brought_and_as_much_again(world: World) -> None:
    room = world.enter(50_000_000)
    assert room.reserved == 64 * KIB
    room.take(64 * KIB)
    assert room.reserved == 128 * KIB
    room.take(4 * MIB)
    assert room.reserved == 2 * room.taken
    small = world.enter(1000)
    assert small.reserved == 1000
    assert world.rooms.bytes == room.reserved + small.reserved


def test_two_hundred_who_announce_fifty_megabytes_keep_nobody_out(world: World) -> None:
    slow = [world.enter(40_000_000) for _ in range(200)]
    assert world.rooms.bytes < 16 * MIB
    honest = world.enter(30 * MIB)
    honest.take(30 * MIB)
    assert world.cut == []
    assert len(slow) == 200


def test_what_was_reserved_ahead_goes_first_and_nobody_is_cut_for_it(world: World) -> None:
    one = world.enter(40 * MIB)
    one.take(15 * MIB)
    assert one.reserved == 30 * MIB
    other = world.enter(30 * MIB)
    other.take(30 * MIB)
    assert world.cut == []
    assert one.reserved == 15 * MIB


def test_slow_bodies_make_room_the_largest_first(world: World) -> None:
    small = world.fill_slowly(10, MIB)
    large = world.fill_slowly(2, 16 * MIB)
    honest = world.enter(10 * MIB)
    honest.take(10 * MIB)
    assert world.cut == large[:1]
    assert len(world.rooms) == len(small) + len(large)
    with pytest.raises(Refused) as refused:
        large[0].take(1)
    assert refused.value.is_cut
    large[0].give_back()
    assert world.rooms.bytes == sum(one.reserved for one in (*small, *large, honest))


def test_of_equally_fast_bodies_the_one_that_asks_for_more_is_refused(world: World) -> None:
    """Or else each would cut the one that has come furthest, and none would ever end."""
    equals = world.fill_slowly(8, 6 * MIB)
    with pytest.raises(Refused) as refused:
        equals[0].take(MIB)
    assert not refused.value.is_cut
    equals[0].give_back()
    equals[1].take(MIB)
    assert world.cut == []


def test_who_is_slow_itself_cuts_nobody_who_is_as_slow(world: World) -> None:
    world.fill_slowly(48, MIB)
    newcomer = world.enter(None)
    newcomer.take(16)
    world.now += 10
    with pytest.raises(Refused):
        newcomer.take(MIB)
    assert world.cut == []


def test_a_body_gets_a_second_to_show_how_fast_it_comes(world: World) -> None:
    world.fill_slowly(6, 8 * MIB, seconds=0.9)
    with pytest.raises(Refused):
        world.enter(8 * MIB).take(8 * MIB)
    world.now += 59
    world.enter(8 * MIB).take(8 * MIB)
    assert len(world.cut) == 1


def test_the_last_quarter_is_for_small_bodies(world: World) -> None:
    fast = world.enter(48 * MIB)
    fast.take(48 * MIB)
    with pytest.raises(Refused):
        world.enter(2 * MIB)
    for _ in range(16):
        world.enter(MIB).take(MIB)
    with pytest.raises(Refused):
        world.enter(MIB)


def test_what_waits_in_the_queue_is_counted_and_never_cut(world: World) -> None:
    world.held = 47 * MIB
    with pytest.raises(Refused) as refused:
        world.enter(2 * MIB)
    assert refused.value.others == 47 * MIB
    world.enter(MIB // 2).take(MIB // 2)


def test_an_empty_server_takes_one_body_of_any_size() -> None:
    world = World(most=1000)
    room = world.enter(5000)
    room.take(5000)
    with pytest.raises(Refused):
        world.enter(1)


def test_memory_that_is_out_cuts_the_larger_half(world: World) -> None:
    rooms = [world.enter() for _ in range(5)]
    for number, room in enumerate(rooms, 1):
        room.take(number * 1000)
    assert world.rooms.cut_half() == 3
    assert world.cut == [rooms[4], rooms[3], rooms[2]]
    assert world.rooms.cut_half() == 1
    assert len(world.rooms) == 1


def test_nothing_stays_reserved_once_all_has_arrived_or_gone(world: World) -> None:
    room = world.enter()
    room.take(10)
    room.has_all()
    assert world.rooms.bytes == 10
    room.give_back()
    room.give_back()
    assert (world.rooms.bytes, len(world.rooms)) == (0, 0)
