"""A machine with systemd, in a container: an engine with the systemd driver on cgroup v2 alone."""
