"""The runbook, as pages of the console link to it."""
