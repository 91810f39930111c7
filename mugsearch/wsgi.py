import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")
django = get_wsgi_application()

from mugsearch import rights, safe_settings  # noqa: E402  they need the settings
from mugsearch.requests import in_utf_8  # noqa: E402

safe_settings.require()
rights.require_narrow()
application = in_utf_8(django)
