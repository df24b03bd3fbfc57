"""The whole loop without people: from a corpus to policies that were compared with where they came from."""
