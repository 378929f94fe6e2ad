"""HTTPS in the pod: a proxy beside the server that holds the stack's certificate. It ends after the server, so that draining is heard."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from infra.kubernetes import pods
from infra.kubernetes.serving_args import PORT, TLS_PORT

_NGINX_USER = 101
"""Whom the image runs as; its files belong to them."""

CONFIGURATION = f"""\
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  upstream server {{ server 127.0.0.1:{PORT}; keepalive 64; }}
  server {{
    listen {TLS_PORT} ssl;
    http2 on;
    ssl_certificate /tls/tls.crt;
    ssl_certificate_key /tls/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0;
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 3600s;
    }}
  }}
}}
"""
"""The size of a body and its pace are the server's to judge. A renewed certificate is read when the pod starts: restart the rollout."""


def config_name(endpoint: str) -> str:
    """Name of the ConfigMap that holds the configuration."""
    return f"{endpoint}-tls"


def sidecar(image: str) -> k8s.core.v1.ContainerArgs:
    """The proxy, as a container that starts before and ends after the server (`restartPolicy: Always` among the init containers)."""
    security = pods.container_security()
    security.run_as_user = _NGINX_USER
    return k8s.core.v1.ContainerArgs(
        name="tls",
        image=image,
        command=["nginx", "-c", "/configuration/nginx.conf", "-g", "daemon off;"],
        restart_policy="Always",
        ports=[k8s.core.v1.ContainerPortArgs(name="https", container_port=TLS_PORT)],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "64Mi"}
        ),
        security_context=security,
        # Until it listens the server does not start, and when it no longer does the pod takes no requests.
        startup_probe=_listens(period=1, failures=60),
        readiness_probe=_listens(period=5, failures=2),
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="tls", mount_path="/tls", read_only=True),
            k8s.core.v1.VolumeMountArgs(name="tls-configuration", mount_path="/configuration", read_only=True),
            k8s.core.v1.VolumeMountArgs(name="tls-tmp", mount_path="/tmp"),  # noqa: S108  # a volume of the pod's own
        ],
    )


def volumes(endpoint: str, secret: str) -> list[k8s.core.v1.VolumeArgs]:
    return [
        k8s.core.v1.VolumeArgs(
            name="tls", secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440)
        ),
        k8s.core.v1.VolumeArgs(
            name="tls-configuration", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config_name(endpoint))
        ),
        k8s.core.v1.VolumeArgs(name="tls-tmp", empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(size_limit="256Mi")),
    ]


def _listens(*, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    socket = k8s.core.v1.TCPSocketActionArgs(port="https")
    return k8s.core.v1.ProbeArgs(tcp_socket=socket, period_seconds=period, failure_threshold=failures)
