"""Django's command line. `./run manage …` calls it with the embedded services running."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line

    from mugsearch import closed

    if (reason := closed.reason(Path(settings.VAR))) and sys.argv[1:2] != ["restore"]:
        sys.exit(f"mugsearch: {reason}")
    execute_from_command_line(sys.argv)
