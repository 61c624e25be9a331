"""Who has to go when another comes: never who asks, first who has said nothing for long."""

import pytest

from shared.http import connection_slots
from shared.http.connection_slots import ConnectionSlots, Wait


class Client:
    def __init__(self, *, may_be_displaced: bool = True) -> None:
        self.is_in = True
        self._may_be_displaced = may_be_displaced

    def may_be_displaced(self) -> bool:
        return self._may_be_displaced

    def displace(self) -> None:
        self.is_in = False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one number is the time."""
    now = [1000.0]
    monkeypatch.setattr(connection_slots, "monotonic", lambda: now[0])
    return now


def entered(slots: ConnectionSlots, number: int, peer: str | None = "a") -> list[Client]:
    clients = [Client() for _ in range(number)]
    assert all(slots.take(client, peer) for client in clients)
    return clients


def gone(clients: list[Client]) -> list[int]:
    return [number for number, client in enumerate(clients) if not client.is_in]


def test_there_is_no_place_where_all_ask() -> None:
    slots = ConnectionSlots(3)
    clients = entered(slots, 3)
    for client in clients:
        slots.protect(client)

    assert not slots.take(Client(), "a")

    slots.release(clients[1])
    slots.release(clients[1])
    assert slots.take(Client(), "a")
    assert gone(clients) == []


def test_who_never_asked_goes_first_then_who_waits_for_the_next_request_the_oldest_each(
    clock: list[float],
) -> None:
    slots = ConnectionSlots(4)
    clients = entered(slots, 4)
    slots.allow_displacing(clients[0], Wait.READER)
    slots.allow_displacing(clients[1], Wait.NEXT_REQUEST)
    clock[0] += 2

    order = []
    for _ in range(4):
        (newcomer,) = entered(slots, 1, "b")
        slots.protect(newcomer)
        order += [number for number in gone(clients) if number not in order]

    assert order == [2, 3, 1, 0]


def test_who_just_came_stays_while_others_have_been_idle_for_longer(clock: list[float]) -> None:
    slots = ConnectionSlots(3)
    clients = entered(slots, 3)
    slots.allow_displacing(clients[0], Wait.NEXT_REQUEST)
    clock[0] += 0.1
    slots.allow_displacing(clients[1], Wait.NEXT_REQUEST)
    slots.allow_displacing(clients[2], Wait.FIRST_REQUEST)
    clock[0] += 0.5

    entered(slots, 1)
    assert gone(clients) == [0]
    clock[0] += 0.6  # now they have had their time
    entered(slots, 1)
    assert gone(clients) == [0, 2]


def test_a_request_that_is_about_to_be_read_is_not_lost(clock: list[float]) -> None:
    slots = ConnectionSlots(2)
    asking, silent = Client(may_be_displaced=False), Client()
    assert slots.take(asking, "a")
    assert slots.take(silent, "a")
    clock[0] += 2

    entered(slots, 1)

    assert (asking.is_in, silent.is_in) == (True, False)


def test_one_peer_displaces_its_own_and_is_refused_before_all_is_taken() -> None:
    slots = ConnectionSlots(10, most_of_one=3)
    others = entered(slots, 2, "b")
    own = entered(slots, 3)

    entered(slots, 1)
    assert (gone(own), gone(others)) == ([0], [])

    slots = ConnectionSlots(10, most_of_one=3)
    for client in entered(slots, 3):
        slots.protect(client)
    assert not slots.take(Client(), "a")
    assert slots.take(Client(), "b")


def test_a_peer_that_speaks_for_many_has_no_limit_but_that_of_all() -> None:
    slots = ConnectionSlots(5, most_of_one=1)

    for client in entered(slots, 5, peer=None):
        slots.protect(client)

    assert not slots.take(Client(), None)
