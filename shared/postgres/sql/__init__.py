"""All SQL, by name, in one file for each concern."""
