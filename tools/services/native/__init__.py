"""Servers of the machine: found or installed, and run as private ones."""
