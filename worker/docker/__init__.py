"""The containers of runs: a Docker socket for jobs, and the stop of what was started through it."""
