"""What supervised fine-tuning is made of: conversations as tokens, mixtures, packs, what is trained, what is forgotten."""
