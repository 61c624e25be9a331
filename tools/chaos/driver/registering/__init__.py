"""Registrations, in each way that there is."""
