"""What pretraining is made of: models from zero, optimisers, losses, masks, spikes, its loop and what it tells."""
