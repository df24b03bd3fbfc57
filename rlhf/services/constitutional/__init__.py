"""Constitutional AI from end to end: what is planned, started, decided at the gate, and told in the end."""
