"""Whose tokens for which API, and the body of a call: what the makers of credentials and every program share."""

ISSUER = "https://issuer.bench.test"
AUDIENCE = "https://orders.bench.test"
SCOPE = "orders:read"

#: For what clients sign themselves.
SIGNED_AUDIENCE = "https://signed.bench.test"
CALLER = "bench-caller"
SIGV4_REGION, SIGV4_SERVICE = "local", "orders"

#: An issuer that is asked about its tokens, and what they begin with.
PARTNER = "https://partner.bench.test"
PARTNER_AUDIENCE = "https://partners.bench.test"
PARTNER_PREFIX = "partner_"

#: The URI in the client's certificate.
WORKLOAD = "spiffe://bench.test/orders"

#: 1024 bytes.
BODY = '{"note":"' + "a" * 1013 + '"}'
