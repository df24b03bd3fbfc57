"""Pages on which admins write constitutions: new ones, imports, the form of a draft, publishing, and letting go."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import requires, signed_in
from accounts.errors import UserError
from accounts.models import Capability
from annotation.forms import tell
from rlhf.constitution_cards import Card, card_of, cards_posted, empty_card, number_in, numbered, rearranged
from rlhf.models import Constitution, ConstitutionVersion
from rlhf.services.constitutions.documents import LARGEST, import_document, read_bytes, too_large
from rlhf.services.constitutions.drafts import begin_draft, create_constitution, drop_draft, save_draft
from rlhf.services.constitutions.publishing import publish
from rlhf.services.constitutions.wording import (
    LONGEST_NAME,
    LONGEST_PURPOSE,
    MOST_EXAMPLES,
    MOST_PRINCIPLES,
    BadConstitution,
    wordings_in,
)

MOST_EDITS = 10**9


class NewForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=LONGEST_NAME)
    purpose = forms.CharField(
        label=_("Purpose"), required=False, max_length=LONGEST_PURPOSE, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("For which models and which work it is meant."),
    )  # fmt: skip


class DocumentForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"}),
        help_text=_("A JSON document, as an export of a version is one."),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def constitution_new(request: HttpRequest) -> HttpResponse:
    form = NewForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_constitution(**form.cleaned_data, user=signed_in(request))
        except UserError as error:
            tell(form, error)
        else:
            return redirect("constitution_edit", made.slug)
    return render(request, "rlhf/constitution_new.html", {"form": form}, status=400 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Capability.MANAGE)
def constitution_import(request: HttpRequest) -> HttpResponse:
    is_sent = request.method == "POST"
    form = DocumentForm(request.POST, request.FILES) if is_sent else DocumentForm()
    status = 400 if is_sent else 200
    if is_sent and form.is_valid():
        try:
            file = form.cleaned_data["file"]
            if file.size > LARGEST:
                raise too_large()
            brought = import_document(read_bytes(file.read()), user=signed_in(request))
        except UserError as error:
            form.add_error("file", error.sentence)
            status = error.status
        else:
            version = brought.version
            told = gettext("It is here as a draft. Publish it to let runs learn from it.")
            if not brought.is_new:
                told = gettext("Version %(number)s says the very same, so nothing was added.")
            messages.success(request, told % {"number": version.number})
            return redirect("constitution_version", version.constitution.slug, version.number)
    return render(request, "rlhf/constitution_import.html", {"form": form}, status=status)


@require_POST
@requires(Capability.MANAGE)
def constitution_begin(request: HttpRequest, slug: str) -> HttpResponse:
    begin_draft(get_object_or_404(Constitution, slug=slug), user=signed_in(request))
    return redirect("constitution_edit", slug)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires(Capability.MANAGE)
def constitution_edit(request: HttpRequest, slug: str) -> HttpResponse:
    """The draft as one form. "Save" keeps all of it; every other button only rearranges what is typed."""
    if request.method != "POST":
        draft = draft_of(slug)
        return show(request, draft, cards=[card_of(one) for one in wordings_in(draft)] or [empty_card()])
    draft, cards = draft_named(request, slug), cards_posted(request.POST)
    deed = request.POST.get("deed", "save")
    if deed != "save":
        return show(request, draft, cards=rearranged(cards, deed), is_kept=False)
    try:
        save_draft(
            draft, wordings=[card.as_wording() for card in cards], seen=seen_in(request), user=signed_in(request),
            note=request.POST.get("note", ""), purpose=request.POST.get("purpose", ""),
        )  # fmt: skip
    except UserError as error:
        place = error.data.get("principle")
        if place is not None:
            cards[place - 1].wrong = cards[place - 1].focus = error.data["field"]
        return show(request, draft, cards=cards, is_kept=False, error=error)
    told = ngettext("Saved, with %(num)s principle.", "Saved, with %(num)s principles.", len(cards))
    messages.success(request, told % {"num": len(cards)})
    return redirect("constitution_edit", slug)


def show(
    request: HttpRequest,
    draft: ConstitutionVersion,
    *,
    cards: Sequence[Card],
    is_kept: bool = True,
    error: UserError | None = None,
) -> HttpResponse:
    """`edits` stays what it was when the form was opened, so that what others saved meanwhile is never overwritten."""
    is_posted = request.method == "POST"
    context: dict[str, Any] = {
        "constitution": draft.constitution,
        "draft": draft,
        "cards": numbered(cards),
        "edits": seen_in(request) if is_posted else draft.edits,
        "note": request.POST.get("note", "") if is_posted else draft.note,
        "purpose": request.POST.get("purpose", "") if is_posted else draft.constitution.purpose,
        "is_kept": is_kept,
        "error": error,
        "most": MOST_PRINCIPLES,
        "most_examples": MOST_EXAMPLES,
    }
    template = "rlhf/draft_form.html" if request.headers.get("HX-Request") else "rlhf/constitution_edit.html"
    return render(request, template, context, status=error.status if error else 200)


@require_POST
@requires(Capability.MANAGE)
def constitution_publish(request: HttpRequest, slug: str) -> HttpResponse:
    name = request.POST.get("dataset", "").strip()
    made = publish(draft_named(request, slug), seen=seen_in(request), user=signed_in(request), dataset_name=name)
    messages.success(request, gettext("Version %(number)s is published.") % {"number": made.number})
    return redirect("constitution_version", slug, made.number)


@require_POST
@requires(Capability.MANAGE)
def constitution_drop(request: HttpRequest, slug: str) -> HttpResponse:
    drop_draft(draft_named(request, slug), seen=seen_in(request), user=signed_in(request))
    messages.success(request, gettext("The draft is let go."))
    return redirect("constitution", slug)


def draft_of(slug: str) -> ConstitutionVersion:
    """Raises `BadConstitution` where all is published."""
    constitution = get_object_or_404(Constitution, slug=slug)
    draft = constitution.versions.select_related("constitution").filter(state="draft").first()
    if draft is None:
        told = gettext("%(name)s has no draft: what is published stays as it is. Begin a new version to change it.")
        raise BadConstitution(told % {"name": constitution.name}, code="no_draft", status=409)
    return draft


def draft_named(request: HttpRequest, slug: str) -> ConstitutionVersion:
    """The one that the form was made of: it may be published by now, or let go, and then whatever is done to it is refused."""
    constitution = get_object_or_404(Constitution, slug=slug)
    try:
        pk = uuid.UUID(request.POST.get("version", ""))
    except ValueError:
        raise Http404("The form names no version.") from None
    gone = ConstitutionVersion(pk=pk, constitution=constitution, number=1 + constitution.versions.count())
    return constitution.versions.select_related("constitution").filter(pk=pk).first() or gone


def seen_in(request: HttpRequest) -> int:
    """The count of edits that the form was opened at; one that never was, where it says none."""
    return number_in(request.POST, "edits", most=MOST_EDITS, otherwise=MOST_EDITS)
