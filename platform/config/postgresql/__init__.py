"""SQLite, as Django has it, with its one writer at a time chosen without polling."""
