"""Facts of a chaos round, made up: what its checks are fed with."""
