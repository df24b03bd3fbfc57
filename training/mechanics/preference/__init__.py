"""Policies from preferences without a reward model (DPO's kin, KTO): losses, trainers, the reference, and guards."""
