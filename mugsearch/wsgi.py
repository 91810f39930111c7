import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")
django = get_wsgi_application()

from mugsearch.requests import in_utf_8  # noqa: E402  it needs the settings

application = in_utf_8(django)
