"""An issuer of tokens: its keys, what it publishes, what it signs."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from skylift.artifacts.access import IssuerEntry, ScopeGrant
from tests.serving.guard.conftest import Web


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


RSA = rsa_key()
OTHER_RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
EC521 = ec.generate_private_key(ec.SECP521R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """The public key of a private one, as an issuer publishes it."""
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        plain = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        plain = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        plain = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**plain, "use": "sig", **({} if kid is None else {"kid": kid}), **more}


class OpenId:
    """A real issuer on loopback."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.issuer = f"{web.url}/realm"
        self.publish(jwk(RSA, "one"))
        self.about()

    def about(self, **changed: Any) -> None:
        told = {"issuer": self.issuer, "jwks_uri": f"{self.web.url}/keys", **changed}
        self.web.say("/realm/.well-known/openid-configuration", told)

    def publish(self, *keys: Any) -> None:
        self.web.say("/keys", {"keys": list(keys)})

    @property
    def fetches(self) -> int:
        return self.web.count("/keys")

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "ada", "aud": "skylift", "iat": now, "exp": now + 600, "scope": "predict"}
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(
        self, key: Any = RSA, algorithm: str = "RS256", kid: str | None = "one", head: Any = None, **changed: Any
    ) -> str:
        headers = {**({} if kid is None else {"kid": kid}), **(head or {})}
        return jwt.encode(self.claims(**changed), key, algorithm=algorithm, headers=headers)

    def entry(self, **changed: Any) -> IssuerEntry:
        usual: dict[str, Any] = {
            "issuer": self.issuer,
            "audiences": ("skylift",),
            "grants": (ScopeGrant(scope="predict", verbs=("predict",)),),
            "leeway": 5.0,
        }
        return IssuerEntry(**{**usual, **changed})


def unsigned(claims: dict[str, Any], head: dict[str, Any]) -> str:
    """A token that nobody signed."""
    parts = (jwt.utils.base64url_encode(json.dumps(one).encode()).decode() for one in (head, claims))
    return ".".join((*parts, ""))
