"""What the relay does natively."""

from __future__ import annotations

import base64
import hashlib
import hmac as _hmac
from dataclasses import dataclass
from enum import Enum
from typing import Union

from . import Err, _signatures, current
from .payload import bytes as payload_bytes
from .secrets import SecretError_NotGranted


class Digest(Enum):
    SHA1 = 0
    SHA256 = 1
    SHA512 = 2


class Scheme(Enum):
    ED25519 = 0
    ECDSA_P256_SHA256 = 1
    RSA_PKCS1_SHA256 = 2


@dataclass
class Part_Text:
    value: str


@dataclass
class Part_Bytes:
    value: bytes


@dataclass
class Part_Blob:
    value: int


Part = Union[Part_Text, Part_Bytes, Part_Blob]


class Encoding(Enum):
    HEX = 0
    BASE64 = 1
    BASE64URL = 2


@dataclass
class Key_Secret:
    value: str


@dataclass
class Key_Pem:
    value: str


@dataclass
class Key_Raw:
    value: bytes


Key = Union[Key_Secret, Key_Pem, Key_Raw]


def hmac(secret: str, digest: Digest, parts: list[Part], encoding: Encoding) -> str:
    return _encode(encoding, _mac(secret, digest, parts))


def hmac_verify(secret: str, digest: Digest, parts: list[Part], signature: str, encoding: Encoding) -> bool:
    mac = _mac(secret, digest, parts)
    given = _decode(encoding, signature)
    return given is not None and _hmac.compare_digest(mac, given)


def verify(key: Key, scheme: Scheme, parts: list[Part], signature: str, encoding: Encoding) -> bool:
    given = _decode(encoding, signature)
    if scheme is not Scheme.ED25519:
        raise NotImplementedError("the stand-in checks Ed25519 alone; `relay plugin test` checks the others")
    if isinstance(key, Key_Raw):
        data = key.value
    else:
        data = _signatures.key_of_pem(_secret(key.value) if isinstance(key, Key_Secret) else key.value)
    return given is not None and _signatures.is_right(data, _joined(parts), given)


def hash(digest: Digest, parts: list[Part], encoding: Encoding) -> str:
    return _encode(encoding, hashlib.new(digest.name.lower(), _joined(parts)).digest())


def equals(secret: str, given: str) -> bool:
    return _hmac.compare_digest(_secret(secret).encode(), given.encode())


def _secret(name: str) -> str:
    value = current().host.secrets.get(name)
    if value is None:
        raise Err(SecretError_NotGranted(name))
    return value


def _mac(secret: str, digest: Digest, parts: list[Part]) -> bytes:
    return _hmac.new(_secret(secret).encode(), _joined(parts), digest.name.lower()).digest()


def _joined(parts: list[Part]) -> bytes:
    return b"".join(_part(part) for part in parts)


def _part(part: Part) -> bytes:
    if isinstance(part, Part_Blob):
        return payload_bytes(part.value)
    return part.value.encode() if isinstance(part, Part_Text) else part.value


def _encode(encoding: Encoding, data: bytes) -> str:
    if encoding is Encoding.HEX:
        return data.hex()
    if encoding is Encoding.BASE64:
        return base64.b64encode(data).decode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(encoding: Encoding, text: str) -> bytes | None:
    try:
        if encoding is Encoding.HEX:
            return bytes.fromhex(text)
        if encoding is Encoding.BASE64:
            return base64.b64decode(text, validate=True)
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
