-- By which the keeper finds whether a command's letter waits already.
CREATE INDEX dead_letters_waiting_by_command ON dead_letters (command_id)
    WHERE state = 'waiting' AND command_id IS NOT NULL;
