"""What is done with runs: start, control, claim, supervise, publish, sweep."""
