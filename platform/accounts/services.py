"""What is done with people and their API tokens; each deed is told to the audit log in its own transaction."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext

from accounts.abilities import BadAbility, languages_of, skills_of
from accounts.deeds import tell
from accounts.errors import Conflict, UserError
from accounts.models import ApiToken, Role, User

PASSWORD_WORDS = 5
# Letters that are not taken for one another when a password is read aloud or from paper.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class BadPerson(UserError):
    code = "bad_person"


class NameTaken(Conflict):
    code = "name_taken"


class FeedbackModel(Conflict):
    """A feedback model's account is nobody's: no role, password, ability or session is given to it."""

    code = "feedback_model"


class LastAdmin(Conflict):
    code = "last_admin"


def made_password() -> str:
    """A password of five groups of four letters: about 99 bits, and still typed without mistakes."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(PASSWORD_WORDS))


def create_person(
    username: str, *, role: str, by: User | None, password: str = "", is_simulated: bool = False
) -> tuple[User, str]:
    """Makes an account and returns it with its password, which is nowhere else in readable form.

    Raises NameTaken, or BadPerson where a name, role or given password is refused.
    """
    person = User(username=username, role=role, is_simulated=is_simulated)
    secret = password or made_password()
    try:
        person.clean_fields(exclude=["password"])
        if password:
            validate_password(password, user=person)
    except ValidationError as error:
        raise BadPerson(" ".join(error.messages)) from error
    person.set_password(secret)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
            tell("person.created", actor=by, target=person, username=username, role=role, is_simulated=is_simulated)
    except IntegrityError as error:
        if not User.objects.filter(username=username).exists():
            raise BadPerson(gettext("Only raters are simulated.")) from error
        raise NameTaken(gettext("There is somebody called %(name)s already.") % {"name": username}) from error
    return person, secret


def change_role(person: User, *, to: str, by: User | None) -> None:
    """Raises LastAdmin, FeedbackModel, or BadPerson for an unknown role."""
    if to not in Role.values:
        raise BadPerson(gettext("There is no role called %(role)s.") % {"role": to})
    with transaction.atomic():
        locked, has_other = _locked(person)
        _refuse_feedback_model(locked)
        if locked.is_simulated and to != Role.RATER:
            raise BadPerson(gettext("A simulated person can only be a rater."))
        if to == locked.role:
            return
        _stay_one_admin(locked, has_other=has_other)
        before, locked.role = locked.role, to
        locked.save(update_fields=["role"])
        tell("person.role_changed", actor=by, target=locked, before=before, after=to)


def set_abilities(
    person: User, *, languages: Iterable[str] | None = None, skills: Iterable[str] | None = None, by: User | None
) -> None:
    """Says what a person can judge; None leaves that part as it is. Raises BadPerson."""
    try:
        told = {
            name: value
            for name, value in (
                ("languages", None if languages is None else languages_of(languages)),
                ("skills", None if skills is None else skills_of(skills)),
            )
            if value is not None
        }
    except BadAbility as error:
        raise BadPerson(str(error), field="languages" if languages else "skills") from error
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=person.pk)
        _refuse_feedback_model(locked)
        changed = {name: value for name, value in told.items() if getattr(locked, name) != value}
        if changed:
            User.objects.filter(pk=person.pk).update(**changed)
            tell("person.abilities_changed", actor=by, target=locked, **changed)


def set_active(person: User, *, to: bool, by: User | None) -> None:
    """Lets somebody in again, or out: then her sessions end at once and her tokens are gone for good."""
    with transaction.atomic():
        locked, has_other = _locked(person)
        _refuse_feedback_model(locked)
        if locked.is_active == to:
            return
        if not to:
            _stay_one_admin(locked, has_other=has_other)
            ApiToken.objects.filter(user=locked).delete()
        locked.is_active = to
        locked.save(update_fields=["is_active"])
        tell("person.activated" if to else "person.deactivated", actor=by, target=locked)


def reset_password(person: User, *, by: User | None) -> str:
    """Makes a new password and returns it; the old one and all sessions under it end."""
    secret = made_password()
    with transaction.atomic():
        locked, _ = _locked(person)
        _refuse_feedback_model(locked)
        locked.set_password(secret)
        locked.save(update_fields=["password"])
        tell("person.password_reset", actor=by, target=locked)
    return secret


def create_token(user: User, *, name: str, days: int, can_write: bool) -> tuple[ApiToken, str]:
    """A token for programs and its secret, of which the database keeps only a hash."""
    with transaction.atomic():
        token, secret = ApiToken.objects.create(
            user=user, expiry=datetime.timedelta(days=days), name=name, can_write=can_write
        )
        tell("token.created", actor=user, target=user, name=name, key=token.token_key, days=days, can_write=can_write)
    return token, secret


def revoke_token(token: ApiToken, *, by: User) -> None:
    with transaction.atomic():
        tell("token.revoked", actor=by, target=token.user, name=token.name, key=token.token_key)
        token.delete()


def _locked(person: User) -> tuple[User, bool]:
    """The person's row, locked, and whether another active admin would remain without her.

    All admins are locked with her and in one order, so that two who leave at once can't each count on the other.
    """
    rows = User.objects.select_for_update().filter(models.Q(pk=person.pk) | models.Q(role=Role.ADMIN)).order_by("pk")
    locked = {row.pk: row for row in rows}
    others = [row for row in locked.values() if row.pk != person.pk and row.role == Role.ADMIN and row.is_active]
    return locked[person.pk], bool(others)


def _refuse_feedback_model(person: User) -> None:
    if person.is_ai:
        raise FeedbackModel(
            gettext("%(name)s is a feedback model: nobody logs in in its name.") % {"name": person.username}
        )


def _stay_one_admin(person: User, *, has_other: bool) -> None:
    if person.role == Role.ADMIN and person.is_active and not has_other:
        raise LastAdmin(
            gettext("%(name)s is the only admin: make somebody else an admin first.") % {"name": person.username}
        )
