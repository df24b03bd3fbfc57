"""What is in a dataset, counted from its rows: lengths, languages, groups of people and the tone they are named in."""
