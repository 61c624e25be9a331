"""The worker: consumes commands, stops process trees, proves that they are gone, records outcomes.

This module imports nothing: every launcher imports the package and must start fast.
"""
