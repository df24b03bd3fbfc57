"""Pages of people: logging in, home, who is here, API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.access import requires, signed_in
from accounts.deeds import tell
from accounts.errors import NotAllowed, UserError
from accounts.forms import AbilitiesForm, ActiveForm, LanguagesForm, PersonForm, RoleForm, TokenForm
from accounts.home import panels_for
from accounts.models import ApiToken, Capability, Role, User
from accounts.paging import page_of


@requires(Capability.SIGN_IN)
def home(request: HttpRequest) -> HttpResponse:
    panels = [render_to_string(panel.template, panel.context, request) for panel in panels_for(signed_in(request))]
    return render(request, "accounts/home.html", {"panels": panels})


@requires(Capability.MANAGE)
@require_http_methods(["GET", "POST"])
@never_cache
def people(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    made: dict[str, object] = {}
    if request.method == "POST" and form.is_valid():
        try:
            person, secret = services.create_person(**form.cleaned_data, by=signed_in(request))
        except UserError as error:
            form.add_error("username", error.sentence)
        else:
            made = {"person": person, "secret": secret}
            form = PersonForm()
    return render_people(request, form=form, made=made, status=400 if form.errors else 200)


def render_people(
    request: HttpRequest, *, form: PersonForm | None = None, made: dict[str, object] | None = None, status: int = 200
) -> HttpResponse:
    role = request.GET.get("role", "")
    rows = User.objects.filter(role=role) if role in Role.values else User.objects.all()
    page = page_of(rows, request, by="username")
    context = {"page": page, "form": form or PersonForm(), "roles": Role.choices, "role": role, "made": made}
    return render(request, "accounts/people.html", context, status=status)


@requires(Capability.MANAGE)
@require_POST
def person_role(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    form = valid(RoleForm(request.POST))
    services.change_role(person, to=form.cleaned_data["role"], by=signed_in(request))
    messages.success(
        request,
        _("%(name)s is now: %(role)s.") % {"name": person.username, "role": Role(form.cleaned_data["role"]).label},
    )
    return redirect("people")


@requires(Capability.MANAGE)
@require_POST
def person_abilities(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    services.set_abilities(person, **valid(AbilitiesForm(request.POST)).cleaned_data, by=signed_in(request))
    messages.success(request, f"What {person.username} can judge is kept: it decides which tasks come to her.")
    return redirect("people")


@requires(Capability.RANK)
@require_http_methods(["GET", "POST"])
@never_cache
def languages(request: HttpRequest) -> HttpResponse:
    """One's own languages. Skills are given by an admin."""
    person = signed_in(request)
    form = LanguagesForm(request.POST or None, initial={"languages": ", ".join(person.languages)})
    if request.method == "POST" and form.is_valid():
        try:
            services.set_abilities(person, **form.cleaned_data, by=person)
        except UserError as error:
            form.add_error("languages", error.sentence)
        else:
            messages.success(request, "Your languages are kept: tasks in them come to you from now on.")
            return redirect("home")
    return render(request, "accounts/languages.html", {"form": form}, status=400 if form.errors else 200)


@requires(Capability.MANAGE)
@require_POST
def person_active(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    active = valid(ActiveForm(request.POST)).cleaned_data["active"]
    services.set_active(person, to=active, by=signed_in(request))
    said = _("%(name)s can log in again.") if active else _("%(name)s is logged out everywhere and can't log in.")
    messages.success(request, said % {"name": person.username})
    return redirect("people")


@requires(Capability.MANAGE)
@require_POST
@never_cache
def person_password(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User, pk=pk)
    if person == signed_in(request):
        raise NotAllowed(_("Change your own password from the menu with your name: it asks for the old one."))
    secret = services.reset_password(person, by=signed_in(request))
    return render_people(request, made={"person": person, "secret": secret})


@requires(Capability.SIGN_IN)
@require_http_methods(["GET", "POST"])
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    form = TokenForm(request.POST or None)
    made: dict[str, object] = {}
    if request.method == "POST" and form.is_valid():
        token, secret = services.create_token(signed_in(request), **form.cleaned_data)
        made = {"token": token, "secret": secret}
        form = TokenForm()
    rows = ApiToken.objects.filter(user=signed_in(request))
    context = {"tokens": rows, "form": form, "made": made}
    return render(request, "accounts/tokens.html", context, status=400 if form.errors else 200)


@requires(Capability.SIGN_IN)
@require_POST
def token_revoke(request: HttpRequest, key: str) -> HttpResponse:
    token = get_object_or_404(ApiToken, token_key=key, user=signed_in(request))
    services.revoke_token(token, by=signed_in(request))
    messages.success(
        request, _("%(name)s is revoked: programs that use it are refused from now on.") % {"name": token.name}
    )
    return redirect("tokens")


@requires(Capability.SIGN_IN)
@require_http_methods(["GET", "POST"])
@never_cache
def password(request: HttpRequest) -> HttpResponse:
    form = PasswordChangeForm(signed_in(request), request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        tell("person.password_changed", actor=signed_in(request), target=signed_in(request))
        update_session_auth_hash(request, form.user)
        messages.success(request, _("Your password is changed; you are logged out everywhere but here."))
        return redirect("home")
    return render(request, "accounts/password.html", {"form": form}, status=400 if form.errors else 200)


def valid(form: Form) -> Form:
    """The form, if it is right; what is wrong with it otherwise as an error, since its page offers no wrong choice."""
    if not form.is_valid():
        raise UserError(" ".join(str(message) for told in form.errors.values() for message in told), code="invalid")
    return form
