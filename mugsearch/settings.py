"""One settings file. Production values are the defaults; the environment (or NAME_FILE) changes them.

A missing secret stops the start with one clear line. What agencies decide (offences, legal bases, list
size …) is not here but in `mugsearch/policy.toml`.
"""

import getpass
import os
import resource
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
# 32 bytes as 64 hex digits: the Ed25519 key that signs disclosure bundles and certificates.
MUGSEARCH_SIGNING_KEY = secret("MUGSEARCH_SIGNING_KEY")


def kept_days(name: str, default: int, least: int = 1, most: int = 3650) -> int:
    """What the operator promises: certificates of expungement give a day by which it is gone."""
    text: str = env.str(name, default=str(default)).strip()
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ImproperlyConfigured(f"{name} has to be a number of days from {least} to {most}.")
    return int(text)


MUGSEARCH_BACKUPS_KEPT_DAYS = kept_days("MUGSEARCH_BACKUPS_KEPT_DAYS", 35)
MUGSEARCH_WAL_KEPT_DAYS = kept_days("MUGSEARCH_WAL_KEPT_DAYS", 7)
MUGSEARCH_LOGS_KEPT_DAYS = kept_days("MUGSEARCH_LOGS_KEPT_DAYS", 35)
# Entries of the audit that are younger stay in the database; PostgreSQL itself refuses to let go what is under a year.
MUGSEARCH_AUDIT_KEPT_DAYS = kept_days("MUGSEARCH_AUDIT_KEPT_DAYS", 365, least=365, most=36500)

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
# The service's role owns nothing (see mugsearch/rights.py). Who owns it all is told to migrations, backups and the
# worker that has removed rows leave the tables: see mugsearch/ownership.py. Always the same database.
MUGSEARCH_SERVICE_ROLE = DATABASES["default"].get("USER") or getpass.getuser()
_owner = env.str("MUGSEARCH_OWNER_DATABASE_URL", default="").strip()
MUGSEARCH_OWNER_DATABASE = env.db_url_config(_owner) if _owner else {}
# Nothing is kept between two requests that an expungement would have to look for.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
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
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_filters",
    "django_htmx",
    "csp",
    "mugsearch",
    "mugsearch.audit",
    "mugsearch.limiting",
    "mugsearch.accounts",
    "mugsearch.vault",
    "mugsearch.gallery",
    "mugsearch.trials",
    "mugsearch.probes",
    "reviews",
    "mugsearch.retention",
    "mugsearch.hunting",
    "mugsearch.auditing",
    "mugsearch.disclosure",
    "mugsearch.backups",
]
MIDDLEWARE = [
    "mugsearch.pages.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "mugsearch.pages.NoStoreMiddleware",
    "mugsearch.pages.ClosedMiddleware",
    "mugsearch.audit.middleware.OriginMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "mugsearch.accounts.middleware.SittingMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "mugsearch.accounts.passwords.PasswordAgeMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mugsearch.pages.RefusalMiddleware",
    "mugsearch.accounts.middleware.ConfirmMiddleware",
    "mugsearch.requests.SizeMiddleware",
    "mugsearch.limits.LimitMiddleware",
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
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},  # 123456789012 is on no list
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
# Signing in is our own (accounts.signing, ADR 15). Of allauth it uses the second factors, and no address.
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "mugsearch.vault.factors.Adapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "mugsearch"
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off; no code works twice (User.code_step)
MFA_RECOVERY_CODE_DIGITS = 10
# Shown before each sign-in, and acknowledged (CJIS 6.0 AC-8; its four statements are in the default).
MUGSEARCH_BANNER = env.str(
    "MUGSEARCH_BANNER",
    default="You are about to use a restricted system of a law enforcement agency. What is done here may be monitored, "
    "recorded and audited. Unauthorized use is prohibited and may be punished under criminal and civil law. "
    "By going on you consent to monitoring and recording.",
)


def limit(name: str, default: int, most: int, least: int = 1) -> int:
    """Of signing in: the default is the strictest of CJIS 6.0 and ASVS 5, and no setting switches it off."""
    text: str = env.str(name, default=str(default)).strip()
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ImproperlyConfigured(f"{name} has to be a number from {least} to {most}.")
    return int(text)


# CJIS 6.0 AC-7: 5 in 15 minutes, and then until an administrator unlocks. ASVS 5 6.3.1 leaves the number to us.
MUGSEARCH_SIGN_IN_TRIES = limit("MUGSEARCH_SIGN_IN_TRIES", 5, 5)
MUGSEARCH_SIGN_IN_MINUTES = limit("MUGSEARCH_SIGN_IN_MINUTES", 15, 24 * 60, least=15)
# CJIS 6.0 AC-11: 30 minutes. AC-12 and ASVS 5 7.3.2: a whole session ends, too; 12 hours is NIST 800-63B's for AAL3.
MUGSEARCH_IDLE_MINUTES = limit("MUGSEARCH_IDLE_MINUTES", 30, 30)
MUGSEARCH_SESSION_HOURS = limit("MUGSEARCH_SESSION_HOURS", 12, 24)
# ASVS 5 7.5.3: once more before what is highly sensitive (accounts.fresh).
MUGSEARCH_CONFIRMED_MINUTES = limit("MUGSEARCH_CONFIRMED_MINUTES", 15, 60)
# `./run demo` alone sets this: the code page shows the code. Only over plain http, and only to this machine.
MUGSEARCH_DEMO = env.bool("MUGSEARCH_DEMO", default=False)
if MUGSEARCH_DEMO and not (INSECURE_HTTP and set(ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]"}):
    raise ImproperlyConfigured(
        "MUGSEARCH_DEMO shows everybody's code. It is for ./run demo: plain http and this machine only."
    )
SESSION_COOKIE_AGE = MUGSEARCH_SESSION_HOURS * 3600
# Never by default: see accounts.passwords.
MUGSEARCH_PASSWORD_MAX_DAYS = env.int("MUGSEARCH_PASSWORD_MAX_DAYS", default=0)
# CJIS 6.0 AC-2(3).
MUGSEARCH_IDLE_DAYS = kept_days("MUGSEARCH_IDLE_DAYS", 90)
SESSION_COOKIE_SAMESITE = "Strict"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not INSECURE_HTTP
# Browsers take a cookie of this name only over https, from this very host and for all of it.
_HOST_ONLY = "" if INSECURE_HTTP else "__Host-"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_HOST_ONLY}sessionid", f"{_HOST_ONLY}csrftoken"
BANNER_COOKIE_NAME = f"{_HOST_ONLY}banner"


# --- limits: how often in a window, for one person (or typed user name) and for one address -------------
def allowed(kind: str, person: int, address: int) -> tuple[int, int]:
    names = (f"MUGSEARCH_LIMIT_{kind}_USER", f"MUGSEARCH_LIMIT_{kind}_ADDRESS")
    told = tuple(env.int(name, default=most) for name, most in zip(names, (person, address), strict=True))
    if min(told) < 1:
        raise ImproperlyConfigured(f"{names[0]} and {names[1]} have to be 1 or more.")
    return told


MUGSEARCH_LIMIT_WINDOW = 60 * env.int("MUGSEARCH_LIMIT_MINUTES", default=15)  # seconds
# An agency may be behind one address, so that takes ten times as much.
MUGSEARCH_LIMITS = {
    "sign_in": allowed("SIGN_IN", 10, 100),
    "upload": allowed("UPLOAD", 60, 600),
    "search": allowed("SEARCH", 60, 600),
    "export": allowed("EXPORT", 30, 300),
}

# --- transport -------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = not INSECURE_HTTP
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_HTTP
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
# One proxy in front, which sets X-Forwarded-Proto and appends the client to X-Forwarded-For.
BEHIND_PROXY = env.bool("MUGSEARCH_BEHIND_PROXY", default=False)
USE_X_FORWARDED_HOST = USE_X_FORWARDED_PORT = False  # whatever is in front passes the host on as it came
# Every address begins at the root of the host: gunicorn takes a header SCRIPT_NAME from any client behind a proxy on
# this machine, and then the paths that limits go by would begin with whatever it says.
FORCE_SCRIPT_NAME = ""
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "object-src": [NONE],
        "frame-src": [NONE],
        "manifest-src": [NONE],
        "worker-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "upgrade-insecure-requests": not INSECURE_HTTP,
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
        "mugsearch.accounts.tokens.Authentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "mugsearch.api.answer",
    "DEFAULT_THROTTLE_CLASSES": ["mugsearch.limits.Throttle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mugsearch.requests.ShallowJSONParser", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "mugsearch.requests.AnyAccept",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is in no row of the access matrix; the schema says what there is
}
MIGRATION_MODULES = {"knox": None}  # its migrations would make its own table beside ours
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105  # names a model
REST_KNOX = {"TOKEN_MODEL": KNOX_TOKEN_MODEL, "AUTO_REFRESH": False}
MUGSEARCH_TOKEN_MOST_DAYS = kept_days("MUGSEARCH_TOKEN_MOST_DAYS", 30)
SPECTACULAR_SETTINGS = {
    "TITLE": "mugsearch",
    "VERSION": VERSION,
    "DESCRIPTION": "Mugshot search with blind double examination, erasure and an unalterable record.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "mugsearch.schema.declare_refusals",
    ],
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
    "mugsearch.retention.tasks.finish": {"queue": "maintenance"},
    "mugsearch.retention.tasks.*": {"queue": "import"},
    "mugsearch.auditing.tasks.*": {"queue": "import"},
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
        ("accounts that nobody uses", "mugsearch.accounts.tasks.disable_idle", crontab(hour=1, minute=47)),
        ("heads of the audit", "mugsearch.auditing.tasks.send_heads", 300.0),
        ("what auditors are to look at", "mugsearch.auditing.tasks.draw", crontab(hour=4, minute=7)),
        ("counts of limits that are over", "mugsearch.limiting.tasks.forget", 3600.0),
        ("files that no row speaks of", "mugsearch.retention.tasks.sweep_orphans", crontab(hour=3, minute=47)),
    )
}

# --- heads of the audit, which leave the database every hour (docs/audit.md) ------------------
# A folder on another volume; below VAR, where it is when nothing is set, it protects against little.
MUGSEARCH_HEADS_DIR = env.str("MUGSEARCH_HEADS_DIR", default="").strip()
MUGSEARCH_HEADS_EMAIL = env.list("MUGSEARCH_HEADS_EMAIL", default=[])
# HOST:PORT (UDP), tcp://HOST:PORT, or the path of a socket.
MUGSEARCH_HEADS_SYSLOG = env.str("MUGSEARCH_HEADS_SYSLOG", default="").strip()
vars().update(env.email_url("EMAIL_URL", default="smtp://localhost:25"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("MUGSEARCH_EMAIL_FROM", default="mugsearch@localhost")

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
# A crash must not write to a disk what was in memory. Here, so that it holds however a process is started.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
