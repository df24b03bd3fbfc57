"""The API of oneself: who am I, which tokens have I."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import DestroyAPIView, ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.access import signed_in
from accounts.api import Pages, StrictSerializer, checked
from accounts.errors import NotAllowed
from accounts.forms import DAYS
from accounts.models import ApiToken, Capability, User


class MeSerializer(serializers.ModelSerializer[User]):
    capabilities = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("username", "role", "is_simulated", "languages", "skills", "capabilities")

    def get_capabilities(self, user: User) -> list[str]:
        return [capability.value for capability in Capability if user.can(capability)]


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    key = serializers.CharField(source="token_key", help_text="The first letters of the token: its name in addresses.")

    class Meta:
        model = ApiToken
        fields = ("key", "name", "can_write", "created", "expiry")


class NewTokenSerializer(StrictSerializer):
    name = serializers.CharField(max_length=80)
    days = serializers.ChoiceField(choices=DAYS, default=30)
    can_write = serializers.BooleanField(default=False)


class MadeTokenSerializer(TokenSerializer):
    token = serializers.CharField(read_only=True, help_text="The token itself, told this once.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")  # type: ignore[assignment]  # one more than the base's


class NewestTokensFirst(Pages):
    ordering = ("-created", "-pk")


def tokens_of(user: User) -> QuerySet[ApiToken]:
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(user=user)
    return tokens


class MeView(RetrieveAPIView[User]):
    """Who is asking, and what they may do."""

    capability = Capability.SIGN_IN
    serializer_class = MeSerializer

    def get_object(self) -> User:
        return signed_in(self.request)


class TokensView(ListAPIView[ApiToken]):
    """One's own tokens. New ones are made by a person who is logged in: a token makes no tokens, so that revoking ends it."""

    capability = Capability.SIGN_IN
    serializer_class = TokenSerializer
    pagination_class = NewestTokensFirst
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return tokens_of(signed_in(self.request))

    @extend_schema(request=NewTokenSerializer, responses={201: MadeTokenSerializer})
    def post(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken):
            raise NotAllowed(gettext("A token makes no tokens: log in to make one."))
        token, secret = services.create_token(signed_in(request), **checked(NewTokenSerializer, request.data))
        return Response({**TokenSerializer(token).data, "token": secret}, status=201)


class TokenView(DestroyAPIView[ApiToken]):
    """Revokes one of one's own tokens."""

    capability = Capability.SIGN_IN
    serializer_class = TokenSerializer
    lookup_field = "token_key"
    lookup_url_kwarg = "key"
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return tokens_of(signed_in(self.request))

    def perform_destroy(self, instance: ApiToken) -> None:
        services.revoke_token(instance, by=signed_in(self.request))
