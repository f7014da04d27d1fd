"""The upstream and the peers: nginx, HAProxy, Envoy, each as a small subject.

A subject knows its name and how to start on given ports. Each is set up the way
its own documentation advises for a proxy that keeps connections open: one
worker, no access log.
"""

import json

from .plan import CORE_OF_REST, CORE_OF_SUBJECT
from .process import Server
from .claims import AUDIENCE, ISSUER

ANSWER = '{"id":"ord_1001","owner":"alice","item":"desk lamp","quantity":2,"status":"shipped"}'

_NGINX = """
worker_processes 1;
daemon off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {inside}
}}
"""


def _nginx(tools, folder, inside, core):
    folder.mkdir()
    # Started as root, nginx gives its worker to another user, who must get at the folder.
    folder.chmod(0o755)
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, inside=inside))
    command = [tools.nginx, "-p", folder, "-c", file, "-e", "stderr"]
    return Server(command, core, folder / "log")


def upstream(tools, folder, port):
    """The service that every subject forwards to: a small fixed answer."""
    inside = f"""
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        default_type application/json;
        location / {{ return 200 '{ANSWER}'; }}
    }}"""
    return _nginx(tools, folder, inside, CORE_OF_REST)


def relay(tools, folder, listen, target, made, certificate):
    """Takes plain calls and makes them again over TLS that stays open, perhaps with a client's certificate.

    For what wrk can't do. It runs on the load's core, so it is no part of what is measured.
    """
    shown = f"proxy_ssl_certificate {made}/client.pem; proxy_ssl_certificate_key {made}/client.key;" if certificate else ""
    inside = f"""
    upstream door {{ server 127.0.0.1:{target}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{listen} backlog=1024;
        {shown}
        proxy_ssl_trusted_certificate {made}/server.pem;
        proxy_ssl_verify on;
        proxy_ssl_name localhost;
        location / {{
            proxy_pass https://door;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}"""
    return _nginx(tools, folder, inside, CORE_OF_REST)


class Nginx:
    """nginx as a plain proxy, the yardstick."""

    name = "nginx"

    def start(self, tools, folder, ports, made, tls):
        tls_lines = f"ssl_certificate {made}/server.pem; ssl_certificate_key {made}/server.key;" if tls else ""
        inside = f"""
    upstream orders {{ server 127.0.0.1:{ports.upstream}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{ports.listen} {"ssl" if tls else ""} backlog=1024;
        {tls_lines}
        location / {{
            proxy_pass http://orders;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}"""
        return _nginx(tools, folder, inside, CORE_OF_SUBJECT)


class Haproxy:
    """HAProxy, plain or with `jwt_verify`; it keeps no verified tokens."""

    name = "HAProxy"

    def __init__(self, jwt):
        self.takes_jwt = jwt

    def start(self, tools, folder, ports, made, tls):
        folder.mkdir()
        certificate = ""
        if tls:
            both = folder / "both.pem"
            both.touch(mode=0o600)
            both.write_text((made / "server.pem").read_text() + (made / "server.key").read_text())
            certificate = f" ssl crt {both}"
        check = f"""
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str {ISSUER} }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str {AUDIENCE} }}
    http-request deny deny_status 401 unless {{ var(txn.exp) -m found }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{made}/public.pem") 1 }}
"""
        file = folder / "haproxy.cfg"
        file.write_text(
            f"""
global
    nbthread 1
    maxconn 2048
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
frontend door
    bind 127.0.0.1:{ports.listen}{certificate}
{check if self.takes_jwt else ""}
    default_backend orders
backend orders
    server one 127.0.0.1:{ports.upstream}
"""
        )
        return Server([tools.haproxy, "-db", "-f", file], CORE_OF_SUBJECT, folder / "log")


class Envoy:
    """Envoy, plain or with `jwt_authn`, with or without its cache of verified tokens."""

    name = "Envoy"

    def __init__(self, jwt, cache=False):
        self.takes_jwt = jwt
        self.cache = cache

    def start(self, tools, folder, ports, made, tls):
        folder.mkdir()
        filters = [_typed("envoy.filters.http.router", "http.router.v3.Router")]
        if self.takes_jwt:
            provider = {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "local_jwks": {"filename": str(made / "jwks.json")},
                "forward": True,
            }
            if self.cache:
                provider["jwt_cache_config"] = {"jwt_cache_size": 20_000}
            check = {
                "providers": {"bench": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
            }
            authn = _typed("envoy.filters.http.jwt_authn", "http.jwt_authn.v3.JwtAuthentication", check)
            filters.insert(0, authn)
        route = {"match": {"prefix": "/"}, "route": {"cluster": "orders"}}
        manager = {
            "stat_prefix": "door",
            "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": filters,
        }
        chain = {
            "filters": [
                _typed(
                    "envoy.filters.network.http_connection_manager",
                    "network.http_connection_manager.v3.HttpConnectionManager",
                    manager,
                )
            ]
        }
        if tls:
            chain["transport_socket"] = {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": {
                        "tls_certificates": [
                            {
                                "certificate_chain": {"filename": str(made / "server.pem")},
                                "private_key": {"filename": str(made / "server.key")},
                            }
                        ]
                    },
                },
            }
        settings = {
            "static_resources": {
                "listeners": [{"name": "door", "address": _address(ports.listen), "filter_chains": [chain]}],
                "clusters": [
                    {
                        "name": "orders",
                        "type": "STATIC",
                        "connect_timeout": "5s",
                        "load_assignment": {
                            "cluster_name": "orders",
                            "endpoints": [
                                {"lb_endpoints": [{"endpoint": {"address": _address(ports.upstream)}}]}
                            ],
                        },
                    }
                ],
            }
        }
        file = folder / "envoy.json"
        file.write_text(json.dumps(settings, indent=1))
        command = [tools.envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
        return Server(command, CORE_OF_SUBJECT, folder / "log")


def _typed(name, kind, fields=None):
    package = f"type.googleapis.com/envoy.extensions.filters.{kind}"
    return {"name": name, "typed_config": {"@type": package, **(fields or {})}}


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
