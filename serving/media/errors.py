"""What is wrong with a body, and the headers that its refusal carries."""

from __future__ import annotations

from serving.http.json_in import BadRequestError


class MediaError(BadRequestError):
    """A client's mistake. `headers` are whole header lines for the answer, as 415 has them (RFC 9110, section 15.5.16)."""

    def __init__(self, message: str, *, status: int = 400, is_found: bool = True, headers: bytes = b"") -> None:
        super().__init__(message, status=status, is_found=is_found)
        self.headers = headers
