"""PPO on language models: its mathematics, its critic, and the corpus it may keep to."""
