"""What each body that arrives may take of the memory for all of them, and who must go where it does not suffice.

A body gets room in steps: what it brought already, and as much again ahead, so that two hundred senders who announce 50 MB
each reserve no more than they bring. Where the memory is full, whoever asks for more may have that of bodies that arrive at
less than a quarter of its own speed, the largest first; else it is refused itself. So slow senders cannot keep others out,
and of senders who are equally fast those that are refused make room for the rest to end. Bodies above a mebibyte get at most
three quarters of the memory, and nothing while the process has grown near its limit: the rest is for small ones.
"""

from collections.abc import Callable

_AHEAD_BYTES = 64 * 2**10
_SMALL_BYTES = 2**20
_GRACE_SECONDS = 1.0
# Until a body has shown how fast it comes.
_PRESUMED_RATE = 8 * 2**20
_SLOWER = 4


Refusal = Callable[[int, bool], Exception]
"""The answer where there is no room: bytes that wait or arrive besides, and whether this body had to go for others."""


class Room:
    """What one request may take: bytes are taken as they arrive, and given back when the batch is in the queue or refused."""

    def __init__(self, rooms: "Rooms", expected: int | None) -> None:
        self._rooms = rooms
        self._began = rooms.clock()
        self.expected = expected
        self.taken = 0
        self.reserved = 0
        self.when_cut: Callable[[], None] = _nothing
        self.is_cut = False

    def take(self, size: int) -> None:
        """Account for so many more bytes. Raises `Overloaded` where there is no room, or this body was cut for others."""
        self._rooms.take(self, size)

    def has_all(self) -> None:
        """Nothing more comes: what was reserved ahead is free again."""
        self._rooms.shrink(self)

    def give_back(self) -> None:
        """Everything that was taken."""
        self._rooms.leave(self)

    @property
    def age(self) -> float:
        """Seconds since it was let in."""
        return self._rooms.clock() - self._began

    @property
    def rate(self) -> float:
        """Bytes a second; of a body that has just begun at least what is presumed of everybody."""
        age = self.age
        seen = self.taken / max(age, 0.001)
        return seen if age >= _GRACE_SECONDS else max(seen, _PRESUMED_RATE)


class Rooms:
    """All bodies that arrive. `held`: bytes that are in memory besides; `most`: for all together."""

    def __init__(
        self,
        clock: Callable[[], float],
        held: Callable[[], int],
        most: int,
        refusal: Refusal,
        is_tight: Callable[[], bool] = bool,
    ) -> None:
        self.clock = clock
        self.most = most
        self.bytes = 0
        """Reserved by all."""
        self._held = held
        self._refusal = refusal
        self._is_tight = is_tight
        self._rooms: dict[Room, None] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def enter(self, expected: int | None) -> Room:
        """A room for a body of so many bytes, if that is known. Raises the refusal where it could not be had now."""
        room = Room(self, expected)
        whole = expected or 0
        others = self._held() + sum(one.taken for one in self._rooms if not self._may_cut(room, one))
        if whole and others and others + whole > self._limit(whole):
            raise self._refusal(others, False)
        self._rooms[room] = None
        self._reserve_ahead(room)
        return room

    def take(self, room: Room, size: int) -> None:
        """Account for bytes that arrived. Raises the refusal."""
        if room.is_cut:
            raise self.refusal_of(room)
        wanted = room.taken + size
        if wanted > room.reserved:
            self._make_room(room, wanted)
            self.bytes += wanted - room.reserved
            room.reserved = wanted
        room.taken = wanted
        if room.reserved - room.taken < min(_AHEAD_BYTES, room.taken):
            self._reserve_ahead(room)

    def refusal_of(self, room: Room) -> Exception:
        """The answer to a body that was cut."""
        return self._refusal(self._held() + self.bytes, room.is_cut)

    def shrink(self, room: Room) -> None:
        """All of it has arrived."""
        self.bytes -= room.reserved - room.taken
        room.reserved = room.taken
        room.expected = room.taken

    def leave(self, room: Room) -> None:
        """It is in the queue now, or gone."""
        self._rooms.pop(room, None)
        self.bytes -= room.reserved
        room.reserved = room.taken = 0

    def cut_half(self) -> int:
        """Cut the larger half of the bodies that arrive; how many."""
        victims = sorted(self._rooms, key=lambda one: one.taken, reverse=True)[: (len(self._rooms) + 1) // 2]
        for one in victims:
            self._cut(one)
        return len(victims)

    def _limit(self, size: int) -> int:
        if size <= _SMALL_BYTES:
            return self.most
        return 0 if self._is_tight() else self.most * 3 // 4

    def _make_room(self, room: Room, wanted: int) -> None:
        """Raises the refusal where even without the slow ones there is none. An empty server takes any one body."""
        others = self._held() + self.bytes - room.reserved
        missing = others + wanted - self._limit(wanted)
        if not others or missing <= 0:
            return
        missing -= self._take_back_what_is_ahead(room)
        victims = []
        for one in sorted(self._rooms, key=lambda one: one.taken, reverse=True):
            if missing <= 0:
                break
            if one is not room and self._may_cut(room, one):
                victims.append(one)
                missing -= one.reserved
        others = self._held() + self.bytes - room.reserved
        if missing > 0 and others:
            raise self._refusal(others, False)
        for one in victims:
            self._cut(one)

    def _may_cut(self, room: Room, other: Room) -> bool:
        return other.age >= _GRACE_SECONDS and other.rate * _SLOWER < room.rate and other.taken > 0

    def _take_back_what_is_ahead(self, room: Room) -> int:
        """What others have reserved and not used."""
        found = 0
        for one in self._rooms:
            if one is not room:
                found += one.reserved - one.taken
                one.reserved = one.taken
        self.bytes -= found
        return found

    def _reserve_ahead(self, room: Room) -> None:
        """As far as there is room: nobody has to go for bytes that have not come."""
        ahead = max(_AHEAD_BYTES, room.taken)
        if room.expected is not None:
            ahead = min(ahead, max(0, room.expected - room.taken))
        free = self._limit(room.taken) - self._held() - self.bytes
        more = min(room.taken + ahead - room.reserved, free)
        if more > 0:
            room.reserved += more
            self.bytes += more

    def _cut(self, room: Room) -> None:
        room.is_cut = True
        self.leave(room)
        room.when_cut()


def _nothing() -> None:
    """A body that nobody reads yet: it learns it with the next bytes that it takes."""
