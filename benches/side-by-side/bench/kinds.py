"""What calls can carry: in which header fields, from which file, and where Doorward's template takes it."""

import dataclasses

_BEARER = ("Authorization: Bearer ",)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of call."""

    path: str
    #: Header fields as `Name: prefix`, one for each column of the lines.
    fields: tuple = ()
    #: The file with a line for each credential, in the folder of what was made; None where
    #: each call has a signature of its own, made just before by `signers.py`.
    file: str | None = None
    #: Whether a call is a POST of 1 KB, instead of a GET.
    post: bool = False
    #: Whether the connection shows the client's certificate.
    certificate: bool = False
    #: Whether a signature takes tens of µs to make: then half as many are made. Its check takes longer.
    slow: bool = False

    @property
    def signed(self):
        """Whether each call has a signature of its own, which passes once."""
        return bool(self.fields) and self.file is None


KINDS = {
    "none": Kind("/public/orders"),
    "post": Kind("/public/orders", post=True),
    "key": Kind("/key/orders", ("X-API-Key: ",), "key.txt"),
    "relation": Kind("/relation/orders/1", ("X-API-Key: ",), "key.txt"),
    "policy": Kind("/policy/orders", ("X-API-Key: ",), "key.txt"),
    "basic": Kind("/basic/orders", ("Authorization: Basic ",), "basic.txt"),
    "jwt": Kind("/jwt/orders", _BEARER, "seen.txt", slow=True),
    "encrypted": Kind("/encrypted/orders", _BEARER, "encrypted.txt"),
    "paseto": Kind("/paseto/orders", _BEARER, "paseto.txt"),
    "opaque": Kind("/opaque/orders", _BEARER, "opaque.txt"),
    "partner": Kind("/partner/orders", _BEARER, "partner.txt"),
    "mtls": Kind("/mtls/orders", certificate=True),
    "mtls-jwt": Kind("/jwt/orders", _BEARER, "certified.txt", certificate=True),
    "dpop": Kind("/jwt/orders", ("Authorization: DPoP ", "DPoP: "), slow=True),
    "hmac": Kind("/signed/hmac", ("Authorization: ",)),
    "hmac-post": Kind("/signed/hmac", ("Authorization: ",), post=True),
    "sigv4": Kind(
        "/signed/sigv4", ("X-Amz-Date: ", "X-Amz-Content-Sha256: ", "X-Amz-Meta-Call: ", "Authorization: ")
    ),
    "message": Kind("/signed/message", ("Signature-Input: ", "Signature: "), slow=True),
    "client-jwt": Kind("/signed/client-jwt", _BEARER, slow=True),
    "webhook": Kind(
        "/signed/webhook", ("webhook-id: ", "webhook-timestamp: ", "webhook-signature: "), post=True
    ),
}
