"""What a cluster says of its quorum queues, all in one answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

QUEUES: Final = """
    [
        begin
            {resource, _, queue, Name} = amqqueue:get_name(Queue),
            [{leader, Leader}, {members, Members}, {online, Online}] =
                rabbit_amqqueue:info(Queue, [leader, members, online]),
            Count = fun rabbit_fifo:query_messages_total/1,
            Messages =
                case Leader of
                    '' -> "";
                    _ ->
                        case ra:leader_query(amqqueue:get_pid(Queue), Count) of
                            {ok, {_, Total}, _} -> integer_to_list(Total);
                            _ -> ""
                        end
                end,
            Names = fun(Nodes) -> lists:join(" ", [atom_to_list(Node) || Node <- Nodes]) end,
            lists:join("\\t", [Name, Names([Leader]), Names(Members), Names(Online), Messages])
            ++ "\\n"
        end
        || Queue <- rabbit_amqqueue:list(<<"/">>),
           amqqueue:get_type(Queue) =:= rabbit_quorum_queue
    ]
"""
"""Messages are counted by the leader itself: `list_queues` knows what there were 5 s ago."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Nodes are named as Erlang names them."""

    name: str
    leader: str
    """Empty while there is none."""
    members: tuple[str, ...]
    online: tuple[str, ...]
    messages: int | None
    """Also those that are taken and not acknowledged. None if no leader tells."""


def read_queues(text: str) -> Iterator[Queue]:
    for line in text.splitlines():
        name, leader, members, online, messages = line.split("\t")
        yield Queue(
            name,
            leader,
            tuple(members.split()),
            tuple(online.split()),
            int(messages) if messages else None,
        )
