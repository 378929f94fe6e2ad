"""Why somebody is kept out, as every protocol tells it. No text here ever holds what was sent."""

from __future__ import annotations

from serving.interface import Code, StatusError

REALM = b'Bearer realm="skylift"'


class AccessError(StatusError):
    """Kept out.

    Args:
        reason: one word for programs: `no_credentials`, `bad_credentials`, `not_allowed`, `rate_limited`, `access_unread`.
        challenge: value of WWW-Authenticate (https://www.rfc-editor.org/rfc/rfc6750#section-3), empty where it would not help.
        retry_after: when to try again [s].
    """

    def __init__(
        self, code: Code, message: str, *, reason: str, challenge: bytes = b"", retry_after: float | None = None
    ) -> None:
        super().__init__(code, message, retry_after=retry_after)
        self.reason = reason
        self.challenge = challenge


def no_credentials() -> AccessError:
    return AccessError(
        Code.UNAUTHENTICATED,
        "who asks is not said: send the header `Authorization: Bearer TOKEN` or `X-API-Key: TOKEN`",
        reason="no_credentials",
        challenge=REALM,
    )


def bad_credentials(what: str) -> AccessError:
    return AccessError(
        Code.UNAUTHENTICATED, what, reason="bad_credentials", challenge=REALM + b', error="invalid_token"'
    )


def not_allowed(name: str, verb: str, model: str) -> AccessError:
    on = f" on model {model[:128]!r}" if model else ""
    return AccessError(
        Code.PERMISSION_DENIED,
        f"{name!r} has no right to {verb!r}{on}",
        reason="not_allowed",
        challenge=REALM + b', error="insufficient_scope"',
    )


def rate_limited(name: str, seconds: float) -> AccessError:
    return AccessError(
        Code.RESOURCE_EXHAUSTED,
        f"{name!r} asks more often than it may: try again in {seconds:.3g} s",
        reason="rate_limited",
        retry_after=seconds,
    )


def unread() -> AccessError:
    """The document has not been read yet, so nobody can be known."""
    return AccessError(
        Code.UNAVAILABLE,
        "who may ask could not be read yet: the server's log says why",
        reason="access_unread",
        retry_after=5.0,
    )
