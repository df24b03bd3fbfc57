"""Every method by its name and recipe. Free of torch: web pages, commands and workers import this and no more of training."""

from training.recipes.ask import AskRecipe
from training.recipes.base import Recipe
from training.recipes.constitutional import ConstitutionalRecipe
from training.recipes.curate import CurateRecipe
from training.recipes.dpo import DpoRecipe
from training.recipes.evaluate import EvaluateRecipe
from training.recipes.finetune import FinetuneRecipe
from training.recipes.generate import GenerateRecipe
from training.recipes.grpo import GrpoRecipe
from training.recipes.import_model import ImportModelRecipe
from training.recipes.judge import JudgeRecipe
from training.recipes.kto import KtoRecipe
from training.recipes.measure import MeasureRecipe
from training.recipes.merge import MergeRecipe
from training.recipes.online_dpo import OnlineDpoRecipe
from training.recipes.ppo import PpoRecipe
from training.recipes.preflight import PreflightRecipe
from training.recipes.pretrain import PretrainRecipe
from training.recipes.profile import ProfileRecipe
from training.recipes.reward import RewardRecipe
from training.recipes.rloo import RlooRecipe
from training.recipes.score import ScoreRecipe
from training.recipes.sft import SftRecipe
from training.recipes.tokenizer import TokenizerRecipe

RECIPES: dict[str, type[Recipe]] = {
    "import_model": ImportModelRecipe,
    "curate": CurateRecipe,
    "tokenizer": TokenizerRecipe,
    "pretrain": PretrainRecipe,
    "profile": ProfileRecipe,
    "preflight": PreflightRecipe,
    "sft": SftRecipe,
    "finetune": FinetuneRecipe,
    "merge": MergeRecipe,
    "generate": GenerateRecipe,
    "ask": AskRecipe,
    "constitutional": ConstitutionalRecipe,
    "judge": JudgeRecipe,
    "reward": RewardRecipe,
    "dpo": DpoRecipe,
    "kto": KtoRecipe,
    "ppo": PpoRecipe,
    "rloo": RlooRecipe,
    "grpo": GrpoRecipe,
    "online_dpo": OnlineDpoRecipe,
    "evaluate": EvaluateRecipe,
    "score": ScoreRecipe,
    "measure": MeasureRecipe,
}

__all__ = ["RECIPES", "Recipe"]
