"""How well people judge: consensus, reliability, bias, gold, sequential pausing, agreement. Pure functions, no Django."""
