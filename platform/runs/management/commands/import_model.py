"""`manage.py import_model NAME PATH`: take in a model from outside; it is checked and stored as safetensors by a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.commands import acting_user
from registry.services.uploads import stage_upload
from runs.commands import RunCommand
from runs.services.start import check_name, start_run


class Command(RunCommand):
    help = "Import a model: a Hugging Face folder with safetensors, or a GGUF file."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("path", type=Path)
        parser.add_argument("--role", default="sft", choices=["base", "sft", "reward"])
        parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])

    def run(self, **options: Any) -> dict[str, Any]:
        check_name(options["name"])  # before gigabytes are copied
        run = start_run(
            "import_model", recipe={"role_of_model": options["role"], "dtype": options["dtype"]},
            inputs={"upload": stage_upload(options["path"])}, user=acting_user(options["username"]),
            output_name=options["name"],
        )  # fmt: skip
        return self.finish(run, **options)
