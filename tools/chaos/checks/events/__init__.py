"""Events against the audit trail: what has to be told, and what was."""
