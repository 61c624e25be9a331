"""Rows as the programs of each schema wrote them: runs, commands, letters and hosts in every state.

What the newest programs write is listed here once. An older schema gets the columns that it has,
and only the rows whose state it knows.
"""
