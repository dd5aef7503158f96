"""Native, constant-time crypto over secrets and payloads that the relay holds::

    def authenticate(request):
        given = request.header("x-signature") or ""
        if crypto.hmac_verify("signing-key", [request.body], given):
            return accept()
        return reject("the signature is not right")

A message is the concatenation of its parts: texts, bytes, and payloads, which need not enter the plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Union

from . import _wit
from ._json import plain
from ._payload import Payload
from .secrets import _told

Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64", "base64url"]
Scheme = Literal["ed25519", "ecdsa-p256-sha256", "rsa-pkcs1-sha256"]
Part = Union[str, bytes, Payload]

_host = _wit.power("crypto")
_digests = _wit.members(_host, "Digest", {"sha1": "SHA1", "sha256": "SHA256", "sha512": "SHA512"})
_encodings = _wit.members(
    _host, "Encoding", {"hex": "HEX", "base64": "BASE64", "base64url": "BASE64URL"}
)
_schemes = _wit.members(
    _host,
    "Scheme",
    {
        "ed25519": "ED25519",
        "ecdsa-p256-sha256": "ECDSA_P256_SHA256",
        "rsa-pkcs1-sha256": "RSA_PKCS1_SHA256",
    },
)


class Key:
    """A public key: one of ``Key.secret(name)``, ``Key.pem(text)`` and ``Key.raw(bytes)``."""

    __slots__ = ("_key",)

    def __init__(self, key: Any) -> None:
        self._key = key

    @classmethod
    def secret(cls, name: str) -> Key:
        """The name of a granted secret that holds PEM."""
        return cls(_host.Key_Secret(plain(name, "a secret's name")))

    @classmethod
    def pem(cls, text: str) -> Key:
        """PEM."""
        return cls(_host.Key_Pem(plain(text, "a key")))

    @classmethod
    def raw(cls, data: bytes) -> Key:
        """The key's own bytes: 32 for Ed25519, an uncompressed point for P-256, a DER RSAPublicKey."""
        return cls(_host.Key_Raw(bytes(data)))


def hmac(secret: str, parts: Sequence[Part], digest: Digest = "sha256", encoding: Encoding = "hex") -> str:
    """The keyed hash of a message under a granted secret."""
    name, wanted, written = plain(secret, "a secret's name"), _of(_digests, digest), _of(_encodings, encoding)
    try:
        return _host.hmac(name, wanted, _parts(parts), written)
    except _wit.Err as error:
        raise _told(error.value) from None


def hmac_verify(
    secret: str, parts: Sequence[Part], signature: str, digest: Digest = "sha256", encoding: Encoding = "hex"
) -> bool:
    """Whether a keyed hash is right, in constant time. What does not decode is not."""
    name, wanted, written = plain(secret, "a secret's name"), _of(_digests, digest), _of(_encodings, encoding)
    try:
        return _host.hmac_verify(name, wanted, _parts(parts), plain(signature, "a signature"), written)
    except _wit.Err as error:
        raise _told(error.value) from None


def verify(
    key: Key, scheme: Scheme, parts: Sequence[Part], signature: str, encoding: Encoding = "hex"
) -> bool:
    """Whether a signature is right. What does not decode is not."""
    wanted, written = _of(_schemes, scheme), _of(_encodings, encoding)
    try:
        return _host.verify(key._key, wanted, _parts(parts), plain(signature, "a signature"), written)
    except _wit.Err as error:
        raise _told(error.value) from None


def hash(parts: Sequence[Part], digest: Digest = "sha256", encoding: Encoding = "hex") -> str:
    """The hash of a message."""
    return _host.hash(_of(_digests, digest), _parts(parts), _of(_encodings, encoding))


def equals(secret: str, given: str) -> bool:
    """Whether ``given`` is the granted secret, in constant time."""
    try:
        return _host.equals(plain(secret, "a secret's name"), plain(given, "what is compared"))
    except _wit.Err as error:
        raise _told(error.value) from None


def _of(known: dict[str, Any], word: str) -> Any:
    found = known.get(word)
    if found is not None:
        return found
    if not known:
        # Says that the power is absent.
        return _host.Digest
    raise ValueError(f"{word!r} is not known; known: {', '.join(known)}")


def _parts(parts: Sequence[Part]) -> list[Any]:
    if isinstance(parts, (str, bytes)):
        raise TypeError("the parts of a message are a list, such as [request.body]")
    return [_part(part) for part in parts]


def _part(part: Part) -> Any:
    if isinstance(part, Payload):
        return _host.Part_Blob(part._blob)
    if isinstance(part, str):
        return _host.Part_Text(plain(part, "a part of the message"))
    return _host.Part_Bytes(bytes(part))
