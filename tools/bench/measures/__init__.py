"""The rows of the table, one module for what is measured together."""
