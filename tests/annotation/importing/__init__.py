"""Files of other tools, taken in: what is read, what is refused, and what is kept."""
