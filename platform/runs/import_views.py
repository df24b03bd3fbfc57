"""The page that takes in a model from outside: its files are checked and stored, then a run reads them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability, User
from registry.services.names import LONGEST
from registry.services.uploads import received, stage_upload
from runs.models import Run
from runs.recipe_words import said
from runs.services.start import check_name, start_run
from training.recipes import RECIPES


class ManyFiles(forms.FileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """Django's field for one file takes the last of several: this one checks each and returns all."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        return [super(ManyFilesField, self).clean(file, initial) for file in data or [None]]


class ImportForm(forms.Form):
    model_files = ManyFilesField(
        label=_("Files"),
        help_text=_(
            "One .gguf file, or all files of a folder with config.json, tokenizer.json and safetensors. "
            "Pickles (.bin, .pt) are refused: they can run code when they are opened."
        ),
    )
    name = forms.CharField(label=_("Name"), max_length=LONGEST, help_text=_("What the model is called here, for good."))
    role_of_model = forms.ChoiceField(
        label=_("Used as"),
        initial="sft",
        choices=[("sft", _("SFT model")), ("base", _("Base model")), ("reward", _("Reward model"))],
    )
    dtype = forms.ChoiceField(
        label=_("Stored as"), choices=[("bfloat16", "bfloat16"), ("float32", "float32")],
        help_text=_("bfloat16 takes half the room."),
    )  # fmt: skip

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        try:
            check_name(name)  # before gigabytes are copied
        except UserError as error:
            raise forms.ValidationError(error.sentence) from error
        return name


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def model_import(request: HttpRequest) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None)
    status = 200
    if request.method == "POST":
        form = ImportForm(request.POST, request.FILES)
        status = 400
        if form.is_valid():
            try:
                return redirect("run", take_in(form, user=signed_in(request)).pk)
            except UserError as error:
                form.add_error("name" if error.data.get("field") == "output_name" else "model_files", error.sentence)
                status = error.status
    context = {"form": form, "summary": said(RECIPES["import_model"].summary)}
    return render(request, "runs/import.html", context, status=status)


def take_in(form: ImportForm, *, user: User) -> Run:
    """Raises what `stage_upload` and `start_run` raise."""
    given = form.cleaned_data
    with received(given["model_files"]) as folder:
        upload = stage_upload(folder)
    recipe = {"role_of_model": given["role_of_model"], "dtype": given["dtype"]}
    return start_run("import_model", recipe=recipe, inputs={"upload": upload}, user=user, output_name=given["name"])
