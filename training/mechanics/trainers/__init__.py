"""What all trainers share: checkpoints and refusals, log-probabilities of labels alone, batches of pairs, agreement."""
