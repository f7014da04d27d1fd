"""Whose tokens for which API: the facts that the token maker and every program share."""

ISSUER = "https://issuer.bench.test"
AUDIENCE = "https://orders.bench.test"
SCOPE = "orders:read"
