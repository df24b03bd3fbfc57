"""The API of oneself: who am I, which tokens have I."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services
from accounts.api import Pages, StrictSerializer
from accounts.errors import NotAllowed
from accounts.forms import DAYS
from accounts.models import ApiToken, Capability, User
from accounts.views import me


class MeSerializer(serializers.ModelSerializer[User]):
    capabilities = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("username", "role", "is_simulated", "capabilities")

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
        fields = (*TokenSerializer.Meta.fields, "token")


class NewestTokensFirst(Pages):
    ordering = ("-created", "-pk")


class MeView(APIView):
    """Who is asking, and what they may do."""

    capability = Capability.SIGN_IN

    def get(self, request: Request) -> Response:
        return Response(MeSerializer(me(request)).data)


class TokensView(ListAPIView[ApiToken]):
    """One's own tokens. New ones are made by a person who is logged in: a token makes no tokens, so that revoking ends it."""

    capability = Capability.SIGN_IN
    serializer_class = TokenSerializer
    pagination_class = NewestTokensFirst
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=me(self.request))

    def post(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken):
            raise NotAllowed("A token makes no tokens: log in to make one.")
        body = NewTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token, secret = services.create_token(me(request), **body.validated_data)
        return Response({**TokenSerializer(token).data, "token": secret}, status=201)


class TokenView(APIView):
    capability = Capability.SIGN_IN

    def delete(self, request: Request, key: str) -> Response:
        services.revoke_token(get_object_or_404(ApiToken, token_key=key, user=me(request)), by=me(request))
        return Response(status=204)
