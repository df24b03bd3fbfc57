"""The policy's critic: a small network on the policy's own last hidden states, detached.

A critic of its own trunk would cost a second forward and backward pass, most of a step; one that trains the shared trunk
lets the error of the values move the policy, and its weight against the policy's loss becomes one more thing to tune.
Detached, it costs nothing and moves nobody. Its last layer begins at 0: the first advantages are the returns themselves.

Shapes: B completions, A actions, N actions that were taken, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.contract import Input
from training.mechanics.online.policy import Policy, Texts, Trained, spread
from training.recipes.ppo import PpoRecipe


class Critic(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.value = nn.Linear(width, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        values_N: Tensor = self.value(self.inner(hidden_ND)).squeeze(-1)
        return values_N


class Actor(Policy):
    """A policy with its critic."""

    def __init__(self, given: Input, recipe: PpoRecipe) -> None:
        super().__init__(given, recipe)
        self.critic = Critic(self.plain.config.get_text_config().hidden_size).to(self.device)
        self.critic_learning_rate = recipe.critic_learning_rate

    def critic_weights(self) -> dict[str, nn.Parameter]:
        return dict(self.critic.named_parameters())

    def trained(self) -> list[Trained]:
        critic = Trained("critic", self.critic_weights(), self.critic_learning_rate, norm="critic_grad_norm")
        return [*super().trained(), critic]

    def values(self, hidden_ND: Tensor, texts: Texts) -> Tensor:
        """The only way on which gradients reach the critic."""
        values_N = self.critic(hidden_ND.detach().float())
        return spread(values_N, texts.mask_BA)
