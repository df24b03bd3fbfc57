"""What PPO, RLOO, GRPO and online DPO share: the policy samples, that is judged, and passes over it move the policy."""
