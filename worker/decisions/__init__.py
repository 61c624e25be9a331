"""What a command means for its run: judged, locked, and put on record."""
