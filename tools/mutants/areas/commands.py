"""How commands come in and are decided on."""

from typing import Final

from tools.mutants.areas.model import SQL, Area

AREAS: Final = (
    Area(
        "decisions",
        ("worker/decisions/*", SQL + "decisions.py", "shared/states.py"),
        (
            "unit/messages/test_verdict.py",
            "unit/messages/test_command_states.py",
            "integration/postgres/test_decider.py",
            "integration/postgres/test_plain_commands.py",
            "integration/postgres/test_told.py",
            "integration/postgres/test_life_cycles.py",
        ),
        (
            "integration/postgres/test_plans.py",
            "integration/messages/test_batches.py",
            "e2e/cancels/test_repeats.py",
            "faults/broker/test_command_reused.py",
            "faults/broker/test_command_doubled.py",
            "faults/stops/test_taken_up.py",
        ),
    ),
    Area(
        "intake",
        ("worker/intake/*", "worker/memory/*"),
        (
            "unit/messages/test_acks.py",
            "unit/messages/test_fair_queue.py",
            "unit/memory",
            "integration/messages/test_ack_order.py",
            "integration/messages/test_fair_queues.py",
            "integration/messages/test_bad_commands.py",
        ),
        (
            "integration/messages/test_batches.py",
            "integration/messages/test_retry_ladder.py",
            "integration/messages/test_declined.py",
            "faults/broker/test_poison.py",
            "faults/broker/test_copies_of_a_retry.py",
            "faults/broker/test_command_doubled.py",
            "faults/hosts/test_old_host_queue.py",
        ),
    ),
    Area(
        "messages",
        (
            "worker/messages/*",
            "shared/commands.py",
            "shared/text/printable.py",
            "shared/text/times.py",
            "shared/text/validation.py",
        ),
        (
            "unit/messages/test_commands.py",
            "unit/messages/test_reading_is_total.py",
            "unit/messages/test_reply_address.py",
            "unit/messages/test_tolerant_decoding.py",
            "integration/messages/test_bad_commands.py",
            "integration/messages/test_bad_properties.py",
            "integration/messages/test_bad_information.py",
            "integration/messages/test_unknown_publisher.py",
        ),
        (
            "integration/messages/test_retry_ladder.py",
            "integration/events/test_replies.py",
            "integration/dead_letters/test_replay_untrusted.py",
            "faults/broker/test_large_messages.py",
            "faults/broker/test_any_message.py",
        ),
    ),
)
