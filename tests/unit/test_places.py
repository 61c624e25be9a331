"""Who has to go when somebody else comes: never who asks, first who has said nothing for long."""

import pytest

from shared.http import places
from shared.http.places import Room, Wait


class Client:
    def __init__(self, *, may_give_way: bool = True) -> None:
        self.is_in = True
        self._may_give_way = may_give_way

    def may_give_way(self) -> bool:
        return self._may_give_way

    def give_way(self) -> None:
        self.is_in = False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one number is the time."""
    now = [1000.0]
    monkeypatch.setattr(places, "monotonic", lambda: now[0])
    return now


def entered(room: Room, number: int, peer: str | None = "a") -> list[Client]:
    clients = [Client() for _ in range(number)]
    assert all(room.enter(client, peer) for client in clients)
    return clients


def gone(clients: list[Client]) -> list[int]:
    return [number for number, client in enumerate(clients) if not client.is_in]


def test_there_is_no_place_where_all_ask() -> None:
    room = Room(3)
    clients = entered(room, 3)
    for client in clients:
        room.works(client)

    assert not room.enter(Client(), "a")

    room.leave(clients[1])
    room.leave(clients[1])
    assert room.enter(Client(), "a")
    assert gone(clients) == []


def test_who_never_asked_goes_first_then_who_waits_for_the_next_request_the_oldest_each(
    clock: list[float],
) -> None:
    room = Room(4)
    clients = entered(room, 4)
    room.waits(clients[0], Wait.READER)
    room.waits(clients[1], Wait.NEXT_REQUEST)
    clock[0] += 2

    order = []
    for _ in range(4):
        (newcomer,) = entered(room, 1, "b")
        room.works(newcomer)
        order += [number for number in gone(clients) if number not in order]

    assert order == [2, 3, 1, 0]


def test_who_just_came_stays_while_others_have_been_idle_for_longer(clock: list[float]) -> None:
    room = Room(3)
    clients = entered(room, 3)
    room.waits(clients[0], Wait.NEXT_REQUEST)
    clock[0] += 0.1
    room.waits(clients[1], Wait.NEXT_REQUEST)
    room.waits(clients[2], Wait.FIRST_REQUEST)
    clock[0] += 0.5

    entered(room, 1)
    assert gone(clients) == [0]
    clock[0] += 0.6  # now they have had their time
    entered(room, 1)
    assert gone(clients) == [0, 2]


def test_a_request_that_is_about_to_be_read_is_not_lost(clock: list[float]) -> None:
    room = Room(2)
    asking, silent = Client(may_give_way=False), Client()
    assert room.enter(asking, "a")
    assert room.enter(silent, "a")
    clock[0] += 2

    entered(room, 1)

    assert (asking.is_in, silent.is_in) == (True, False)


def test_one_peer_displaces_its_own_and_is_refused_before_all_is_taken() -> None:
    room = Room(10, most_of_one=3)
    others = entered(room, 2, "b")
    own = entered(room, 3)

    entered(room, 1)
    assert (gone(own), gone(others)) == ([0], [])

    room = Room(10, most_of_one=3)
    for client in entered(room, 3):
        room.works(client)
    assert not room.enter(Client(), "a")
    assert room.enter(Client(), "b")


def test_a_peer_that_speaks_for_many_has_no_limit_but_that_of_all() -> None:
    room = Room(5, most_of_one=1)

    for client in entered(room, 5, peer=None):
        room.works(client)

    assert not room.enter(Client(), None)
