"""Links that the vendors sign: to results and to upload slots, with an end."""

import hashlib
import hmac

import attrs


@attrs.frozen
class Signer:
    """Signs a path with its end (vendor seconds); the secret comes from the sandbox's seed."""

    secret: bytes

    def sign(self, path: str, until: float) -> str:
        """The signature of a path that is valid until then."""
        return hmac.new(self.secret, f"{path}\n{until:.3f}".encode(), hashlib.sha256).hexdigest()[:32]

    def valid(self, path: str, until: float, signature: str) -> bool:
        """Whether the signature belongs to that path and end (which may be over)."""
        return hmac.compare_digest(self.sign(path, until), signature)


EXPIRED_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
)
BUSY_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>"
)
FORGED_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message></Error>"
)
HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>One moment</title></head><body><h1>Checking your browser</h1></body></html>"
)
