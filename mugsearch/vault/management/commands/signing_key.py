"""./run manage signing_key"""

from typing import Any

from django.core.management.base import BaseCommand

from mugsearch.vault import signing


class Command(BaseCommand):
    help = "Print the public key that signs disclosure bundles and certificates, and its fingerprint, to be published."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Public key:  {signing.public_key().hex()}")
        self.stdout.write(f"Fingerprint: {signing.fingerprint()}")
