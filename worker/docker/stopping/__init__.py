"""The stop of the containers of one run."""
