"""A security key in software: it signs challenges as one that is plugged in does."""

import hashlib
import json
import os
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from mugsearch.accounts.models import User

HOST = "testserver"


class SecurityKey:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._id = os.urandom(16)

    def belongs_to(self, user: User) -> None:
        Authenticator.objects.create(
            user=user, type="webauthn", data={"name": "k", "credential": self.registered(b"any")}
        )

    def registered(self, challenge: bytes | str) -> dict[str, Any]:
        public = ES256.from_cryptography_key(self._key.public_key())
        known = AttestedCredentialData.create(b"\0" * 16, self._id, public)
        attested = AttestationObject.create("none", self._data(known), {})
        client = CollectedClientData.create("webauthn.create", challenge, f"https://{HOST}")
        return self._answer(clientDataJSON=client, attestationObject=attested)

    def signed(self, challenge: str) -> dict[str, Any]:
        client, data = CollectedClientData.create("webauthn.get", challenge, f"https://{HOST}"), self._data()
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _data(self, known: AttestedCredentialData | None = None) -> AuthenticatorData:
        flags = AuthenticatorData.FLAG.UP | (AuthenticatorData.FLAG.AT if known else 0)
        return AuthenticatorData.create(hashlib.sha256(HOST.encode()).digest(), flags, 1, known or b"")

    def _answer(self, **response: bytes) -> dict[str, Any]:
        name = websafe_encode(self._id)
        told = {what: websafe_encode(value) for what, value in response.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": told, "clientExtensionResults": {}}


def challenge_on(page: Any) -> str:
    told: str = json.loads(page.context["key_options"])["publicKey"]["challenge"]
    return told
