"""The Docker engine: what it is asked, and where it puts the containers of runs."""
