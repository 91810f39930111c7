"""One settings file. Production values are the defaults; the environment (or NAME_FILE) changes them.

A missing secret stops the start with one clear line. What agencies decide (offences, legal bases, list
size …) is not here but in `mugsearch/policy.toml`.
"""

import os
from datetime import timedelta
from pathlib import Path

import environ
import structlog
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()  # NAME, or NAME_FILE holding the path of a file with the value

VERSION = "0.1.0"


def secret(name: str) -> str:
    value: str = env.str(name, default="").strip()
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. Set {name} or {name}_FILE, or start with ./run, which makes one."
        )
    return value


SECRET_KEY = secret("SECRET_KEY")
# 32 bytes as 64 hex digits: wraps every data key.
MUGSEARCH_MASTER_KEY = secret("MUGSEARCH_MASTER_KEY")
# The one before, while `manage rotate_master_key` replaces it.
MUGSEARCH_MASTER_KEY_OLD = env.str("MUGSEARCH_MASTER_KEY_OLD", default="").strip()
# 32 bytes as 64 hex digits: the Ed25519 key that signs disclosure bundles.
MUGSEARCH_SIGNING_KEY = secret("MUGSEARCH_SIGNING_KEY")

DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Only for the demo on loopback: plain http, so no Secure cookies and no redirect to https.
INSECURE_HTTP = env.bool("MUGSEARCH_INSECURE_HTTP", default=False)

# --- where things are kept -------------------------------------------------------------------
VAR = Path(env.str("MUGSEARCH_VAR", default=str(BASE_DIR / "var"))).resolve()
VAULT_FILES = VAR / "vault" / "files"
VAULT_KEYS = Path(env.str("MUGSEARCH_KEYS", default=str(VAR / "vault" / "keys")))
INDEX_DIR = VAR / "index"
STAGING = VAR / "staging"
STATIC_ROOT = VAR / "static"
STATIC_URL = "static/"

DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres:///mugsearch")}
DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- rooms -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "django_filters",
    "django_htmx",
    "csp",
    "mugsearch",
    "mugsearch.audit",
    "mugsearch.accounts",
    "mugsearch.vault",
    "mugsearch.gallery",
    "mugsearch.trials",
    "mugsearch.probes",
    "reviews",
    "mugsearch.retention",
    "mugsearch.auditing",
    "mugsearch.disclosure",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mugsearch.pages.RefusalMiddleware",
    "mugsearch.pages.NoStoreMiddleware",
    "mugsearch.audit.middleware.OriginMiddleware",
    "mugsearch.requests.SizeMiddleware",
]
ROOT_URLCONF = "mugsearch.urls"
WSGI_APPLICATION = "mugsearch.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mugsearch.pages.frame",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

# --- people ----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not INSECURE_HTTP

# --- transport -------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = not INSECURE_HTTP
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_HTTP
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
# One proxy in front, which sets X-Forwarded-Proto and appends the client to X-Forwarded-For.
BEHIND_PROXY = env.bool("MUGSEARCH_BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# An upload is one photograph, or a manifest with a ZIP of photographs.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
FILE_UPLOAD_PERMISSIONS = 0o600
# Large uploads pass through a file: on the data volume, not in the system's temporary folder.
FILE_UPLOAD_TEMP_DIR = VAR / "uploads"
DATA_UPLOAD_MAX_NUMBER_FILES = 2000

# --- language and time -----------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
TIME_ZONE = env.str("MUGSEARCH_TIME_ZONE", default="UTC")
USE_TZ = True

# --- API -------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "mugsearch.api.answer",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mugsearch.requests.ShallowJSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "mugsearch.requests.AnyAccept",
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=12), "AUTO_REFRESH": False}
SPECTACULAR_SETTINGS = {
    "TITLE": "mugsearch",
    "VERSION": VERSION,
    "DESCRIPTION": "Mugshot search with blind double examination, erasure and an unalterable record.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ProbeState": "mugsearch.probes.models.Probe.State",
        "SearchState": "mugsearch.probes.models.Search.State",
        "PhotoState": "mugsearch.gallery.models.Photo.State",
        "ImportState": "mugsearch.gallery.models.ImportRun.State",
        "ExaminationState": "reviews.models.Examination.State",
        "AuditOutcome": "mugsearch.audit.models.Outcome",
        "LeadOutcome": "reviews.models.LeadOutcome.Outcome",
        "OrderKind": "mugsearch.retention.models.ExpungementOrder.Kind",
        "OrderState": "mugsearch.retention.models.ExpungementOrder.State",
    },
}

# --- workers ---------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://")
if CELERY_BROKER_URL.startswith("filesystem://"):
    CELERY_BROKER_TRANSPORT = "mugsearch.launch.folder_broker:Transport"
    _broker = Path(env.str("MUGSEARCH_BROKER_DIR", default=str(VAR / "broker")))
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker / "queue"),
        "data_folder_out": str(_broker / "queue"),
        "control_folder": str(_broker / "control"),
        "store_processed": False,
        "polling_interval": 0.1,
    }
# A broker that is down must not hold up a request: the scheduler finds what was not sent.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_TASK_IGNORE_RESULT = True  # a result backend would keep copies of rows
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "import"
CELERY_TASK_ROUTES = {
    "mugsearch.probes.tasks.*": {"queue": "search"},
    "mugsearch.trials.tasks.*": {"queue": "search"},
    "mugsearch.gallery.tasks.rebuild_index": {"queue": "search"},
    "mugsearch.gallery.tasks.*": {"queue": "import"},
    "mugsearch.retention.tasks.prove_forgotten": {"queue": "search"},
    "mugsearch.retention.tasks.*": {"queue": "import"},
    "reviews.tasks.*": {"queue": "import"},
}
CELERY_TIMEZONE = "UTC"
# PostgreSQL says what there is to do: these look again, in case a message or a worker was lost.
CELERY_BEAT_SCHEDULE = {
    # `expires`: while a worker is busy, what comes every few seconds must not pile up in front of it.
    name: {
        "task": task,
        "schedule": every,
        "options": {"expires": 300 if isinstance(every, float) else None},
    }
    for name, task, every in (
        ("searches left behind", "mugsearch.probes.tasks.resume", 10.0),
        ("trial photographs left behind", "mugsearch.trials.tasks.resume", 30.0),
        ("imports left behind", "mugsearch.gallery.tasks.resume", 15.0),
        ("expungements left behind", "mugsearch.retention.tasks.resume", 15.0),
        ("claims nobody works on", "reviews.tasks.expire_claims", 60.0),
        ("another encoder", "mugsearch.gallery.tasks.reencode", 60.0),
        ("index behind or damaged", "mugsearch.gallery.tasks.rebuild_index", 15.0),
        ("index against PostgreSQL", "mugsearch.gallery.tasks.check_index", crontab(hour=3, minute=17)),
        ("what the rules of retention say", "mugsearch.retention.tasks.sweep", crontab(hour=2, minute=17)),
        ("files that no row speaks of", "mugsearch.retention.tasks.sweep_orphans", crontab(hour=3, minute=47)),
    )
}

# --- the engine ------------------------------------------------------------------------------
MUGSEARCH_ENCODER = env.str("MUGSEARCH_ENCODER", default="opencv")
MUGSEARCH_POLICY = Path(env.str("MUGSEARCH_POLICY", default=str(BASE_DIR / "mugsearch" / "policy.toml")))

# --- log: one JSON object a line, so that nothing a person types can forge one ----------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": [
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.str("MUGSEARCH_LOG_LEVEL", default="WARNING")},
    "loggers": {"celery.worker": {"level": "WARNING"}, "kombu": {"level": "ERROR"}},
}
os.umask(0o077)
