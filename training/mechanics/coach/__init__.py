"""The coach: says in plain words what goes wrong with a run, why it may, and what to try. `watch` is the table of its rules."""
