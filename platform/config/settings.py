"""Settings of every process: web, workers, commands. What differs between places comes from `env`."""

from __future__ import annotations

import environ
from csp.constants import NONCE, NONE, SELF

from config import env

BASE_DIR = env.ROOT
SECRET_KEY = env.secret_key()
DEBUG = env.DEBUG
ALLOWED_HOSTS = env.ALLOWED_HOSTS
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STEADYHAND_HOME = env.HOME
ARTIFACTS_DIR = env.HOME / "artifacts"
RUNS_DIR = env.HOME / "runs"
UPLOADS_DIR = env.HOME / "uploads"
RUN_TIMES = env.RUN_TIMES
TRAINING_COMMAND = env.TRAINING_COMMAND
TRAINING_THREADS = env.TRAINING_THREADS
PRICE_PER_HOUR = env.PRICE_PER_HOUR

HINTS_BY_SQLITE = not env.REDIS_URL and env.DATABASE_URL.startswith("sqlite")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "axes",
    "csp",
    "channels",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "accounts",
    "audit",
    "registry",
    "runs",
    "annotation",
    "rlhf",
    *(["channels_lite"] if HINTS_BY_SQLITE else []),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.language.Language",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.DenyByDefault",
    "accounts.middleware.UserErrors",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [env.ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "accounts.context.navigation",
            ],
        },
    }
]

# --- database: SQLite by default, PostgreSQL by one variable ---
DATABASES = {"default": environ.Env.db_url_config(env.DATABASE_URL)}
DATABASES["default"]["CONN_MAX_AGE"] = 60  # of the threads that handle requests, which stay
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["ENGINE"] = "config.sqlite3"
    DATABASES["default"]["OPTIONS"] = {
        # A transaction takes the write lock at its begin: one that reads first and writes later never fails "locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL, since a power cut under NORMAL loses commits that a person was told are saved.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=134217728; PRAGMA cache_size=-16000;",
    }
else:
    DATABASES["default"]["ENGINE"] = "config.postgresql"
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A process that freezes inside a transaction would keep its rows locked, and so the run that it has lost.
    DATABASES["default"]["OPTIONS"] = {
        **DATABASES["default"].get("OPTIONS", {}),
        "options": f"-c idle_in_transaction_session_timeout={round(env.RUN_TIMES['lease_s'] * 1000)}",
        "prepare_threshold": 1,  # of statements that go through `prepared_cursor`, from their second call on
    }

# --- people ---
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "accounts.sessions.People"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
# The pair is locked, not the account alone: a stranger's guesses must not lock a rater out of her own desk.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "accounts/locked.html"
AXES_RESET_ON_SUCCESS = True
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = env.HTTPS
CSRF_COOKIE_SECURE = env.HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "accounts.errors.csrf_failure"

# --- headers ---
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if env.HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.HTTPS
SECURE_HSTS_PRELOAD = env.HTTPS
SECURE_SSL_REDIRECT = env.HTTPS
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4000  # a draft of 100 principles with 6 examples each is one form

# --- files ---
STATIC_URL = "static/"
STATICFILES_DIRS = [env.ROOT / "static"]
STATIC_ROOT = env.HOME / "static"
WHITENOISE_USE_FINDERS = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_files.HashedFiles"},
}

# --- language and time ---
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("ar", "العربية"),
]  # each in its own: who can't read the rest finds it
LOCALE_PATHS = [env.ROOT / "locale"]
FORMAT_MODULE_PATH = "config.formats"
USE_I18N = True

# --- API ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenOnly",  # first: it makes "who are you?" a 401 and not a 403
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.HasCapability"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.parsers.Json", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "accounts.api.Pages",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "accounts.api.api_error",
    # A whole second would else be written without its fraction: now and then, another form than programs expect.
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
}
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - the name of a model
REST_KNOX = {"TOKEN_MODEL": KNOX_TOKEN_MODEL, "AUTH_HEADER_PREFIX": "Token"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Steadyhand API",
    "DESCRIPTION": "Everything a page does: campaigns, rankings, runs, models, datasets.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["accounts.permissions.HasCapability"],
    # Fields of one name with different choices: what their types are called.
    "ENUM_NAME_OVERRIDES": {
        "UserRoleEnum": "accounts.models.Role",
        "ModelRoleEnum": "registry.models.ModelRole",
        "DatasetKindEnum": "registry.models.DatasetKind",
        "RunStateEnum": "runs.models.RunState",
        "EventKindEnum": "runs.models.EventKind",
        "CampaignStateEnum": "annotation.models.CampaignState",
        "AssignmentStateEnum": "annotation.models.AssignmentState",
        "RoundStateEnum": "rlhf.models.RoundState",
        "ConstitutionalStateEnum": "rlhf.models.CaiState",
        "ConstitutionStateEnum": "rlhf.models.VersionState",
    },
}

# --- workers: Celery is the doorbell, the Run row is the truth ---
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(env.HOME / "beat-schedule")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if env.REDIS_URL:
    # redis-py 8 gives up a read after 5 s, which is as long as channels-redis waits for a message: an idle websocket
    # would be cut off every 5 s. The layer's own wait bounds the read.
    REDIS_HOST = {"address": env.REDIS_URL, "socket_timeout": None}
    CELERY_BROKER_URL = env.REDIS_URL
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_HOST]}}
    }
else:
    _QUEUE = env.HOME / "queue"
    CELERY_BROKER_URL = "filesystem://localhost"  # a name, or kombu warns that there is none
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE / "messages"),
        "data_folder_out": str(_QUEUE / "messages"),
        "control_folder": str(_QUEUE / "control"),
        "processed_folder": str(_QUEUE / "processed"),
        "polling_interval": 0.1,
    }
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_lite.layers.core.SQLiteChannelLayer", "CONFIG": {"database": "default"}}
        if HINTS_BY_SQLITE
        # PostgreSQL without Redis: hints reach the process that sends them, other pages look by themselves every 30 s.
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"steadyhand": {"level": "INFO"}},
}
