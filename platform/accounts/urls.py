"""Addresses of this app's pages."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, path

from accounts import language, reference, views
from accounts.access import public

login = LoginView.as_view(template_name="accounts/login.html", redirect_authenticated_user=True)

urlpatterns: list[URLPattern] = [
    path("", views.home, name="home"),
    path("login/", public(login), name="login"),
    path("logout/", public(LogoutView.as_view()), name="logout"),
    path("language/", language.choose_language, name="choose_language"),
    path("words/<str:language>.js", language.words, name="words"),
    path("password/", views.password, name="password"),
    path("languages/", views.languages, name="languages"),
    path("people/", views.people, name="people"),
    path("people/<int:pk>/role/", views.person_role, name="person_role"),
    path("people/<int:pk>/abilities/", views.person_abilities, name="person_abilities"),
    path("people/<int:pk>/active/", views.person_active, name="person_active"),
    path("people/<int:pk>/password/", views.person_password, name="person_password"),
    path("api/", reference.reference, name="api"),
    path("api/schema/", reference.SchemaView.as_view(), name="api_schema"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<str:key>/revoke/", views.token_revoke, name="token_revoke"),
]
