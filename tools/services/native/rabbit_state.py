"""What a broker does that runs and serves nobody."""

from typing import Final

from tools.services.model import ServerFailed

START_HANGS: Final = "Global hang workaround: global state on"
"""Logged by RabbitMQ up to 3.10.8 and by 3.11.0 when it waits in vain; later ones say it in other
words, and go on."""
STATE: Final = """
    io_lib:format("its boot state is ~w, it is connected to ~w, and it is in ~w", [
        rabbit_boot_state:get(),
        nodes(),
        case erlang:whereis(rabbit) of
            undefined -> nothing;
            Pid ->
                {_, Calls} = erlang:process_info(Pid, current_stacktrace),
                [{Module, Function} || {Module, Function, _, _} <- lists:sublist(Calls, 5)]
        end
    ])
"""


class StartHangs(ServerFailed):
    """A node of a cluster waits for another one for ever, by a fault of RabbitMQ.

    What to do about it is in docs/rabbitmq.md: restart it.
    """
