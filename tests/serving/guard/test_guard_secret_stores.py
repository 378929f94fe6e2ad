"""Secrets of the clouds' stores, read from simulated ones that are built from what the providers publish. Not checked against a cloud."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from serving.guard.guard import Guard
from serving.guard.sources import SecretSource, open_source
from skylift.artifacts import records
from skylift.clouds import gcp_token, secret_stores
from skylift.clouds.asking import ask
from skylift.errors import CredentialsError, NotFoundError, UnreachableError

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:lab/endpoints/default/api-keys"
VAULT = "https://labkv.vault.azure.net/secrets/api-keys-default"
SECRET = "projects/lab-project/secrets/lab-api-keys-default"


def signature(headers, body, secret, service):
    """What the request's signature must be, from the headers that it names:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    told = dict(part.split("=", 1) for part in headers["authorization"].split(" ", 1)[1].split(","))
    names = told["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-target"} <= set(names)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{hashlib.sha256(body).hexdigest()}"
    day, region = told["Credential"].split("/")[1:3]
    assert told["Credential"].endswith(f"/{day}/{region}/{service}/aws4_request")
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{day}/{region}/{service}/aws4_request\n"
    text += hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    return told["Signature"], key.hex()


class Manager:
    """Simulated Secrets Manager."""

    def __init__(self, web, secret="sss"):
        self.value, self.secret, self.error = None, secret, None
        web.answers["/"] = self.answer

    def answer(self, method, path, headers, body):
        if self.error:
            return self.error[0], json.dumps({"__type": self.error[1], "Message": "…"}).encode(), {}
        sent, right = signature(headers, body, self.secret, "secretsmanager")
        assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        assert headers["content-type"] == "application/x-amz-json-1.1"
        if sent != right:
            return 400, b'{"__type": "InvalidSignatureException"}', {}
        assert json.loads(body) == {"SecretId": ARN}
        if self.value is None:
            return 400, b'{"__type": "ResourceNotFoundException"}', {}
        return 200, json.dumps({"ARN": ARN, "SecretString": self.value}).encode(), {}


STATIC = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "sss"}


def aws(web, **environment):
    return secret_stores.find(ARN, {"AWS_ENDPOINT_URL_SECRETS_MANAGER": web.url, **environment})


def test_aws_gives_a_secret_to_who_signs_right(web):
    manager = Manager(web)
    secret = aws(web, **STATIC)
    with pytest.raises(NotFoundError, match="no value yet"):
        secret.read()
    manager.value = '{"schema": 1}'
    assert secret.read() == b'{"schema": 1}'
    with pytest.raises(CredentialsError, match="InvalidSignature"):
        aws(web, AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="other").read()
    for status, kind, error in (
        (400, "AccessDeniedException", CredentialsError),
        (400, "ThrottlingException", UnreachableError),
        (500, "InternalServiceError", UnreachableError),
    ):
        manager.error = (status, kind)
        with pytest.raises(error):
            secret.read()


def keys_json(secret="sss", minutes=60):
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"AccessKeyId": "ASIA", "SecretAccessKey": secret, "Token": "session", "Expiration": until}


def test_aws_machine_is_known_by_its_metadata_and_its_keys_are_kept_while_they_hold(web):
    Manager(web).value = "{}"
    role = "/latest/meta-data/iam/security-credentials/"
    web.answers["/latest/api/token"] = lambda method, *_: (200, b"TOKEN", {}) if method == "PUT" else (405, b"", {})

    def guarded(body):
        return lambda _m, _p, headers, _b: (
            (200, body(), {}) if headers.get("x-aws-ec2-metadata-token") == "TOKEN" else (401, b"", {})
        )

    minutes = 60
    web.answers[role] = guarded(lambda: b"serving")
    web.answers[role + "serving"] = guarded(lambda: json.dumps(keys_json(minutes=minutes)).encode())
    secret = aws(web, AWS_EC2_METADATA_SERVICE_ENDPOINT=web.url)
    assert secret.read() == secret.read() == b"{}"
    assert web.count(role + "serving") == 1
    assert [headers["x-amz-security-token"] for _, path, headers, _ in web.asked if path == "/"] == ["session"] * 2
    minutes = 4
    secret = aws(web, AWS_EC2_METADATA_SERVICE_ENDPOINT=web.url)
    secret.read()
    secret.read()
    assert web.count(role + "serving") == 3


def test_aws_pod_is_known_by_its_identity_agent(web, tmp_path):
    Manager(web).value = "{}"
    (tmp_path / "token").write_text("pod-token\n")
    web.answers["/v1/credentials"] = lambda _m, _p, headers, _b: (
        (200, json.dumps(keys_json()).encode(), {}) if headers.get("authorization") == "pod-token" else (401, b"", {})
    )
    around = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{web.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    assert aws(web, **around).read() == b"{}"
    with pytest.raises(CredentialsError, match="without TLS"):
        aws(web, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://example.org/keys").read()


def test_aws_pod_is_known_by_its_web_identity(web, tmp_path):
    manager = Manager(web)
    manager.value = "{}"
    (tmp_path / "token").write_text("jwt")
    found = keys_json()

    def sts(_method, _path, _headers, body):
        form = parse_qs(body.decode())
        assert form["Action"] == ["AssumeRoleWithWebIdentity"] and form["WebIdentityToken"] == ["jwt"]
        names = {**found, "SessionToken": found["Token"]}
        inside = "".join(f"<{name}>{value}</{name}>" for name, value in names.items() if name != "Token")
        text = f'<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Credentials>{inside}</Credentials></R>'
        return 200, text.encode(), {}

    web.answers["/sts/"] = sts
    around = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/serving",
        "AWS_ENDPOINT_URL_STS": f"{web.url}/sts",
    }
    assert aws(web, **around).read() == b"{}"


def vault(web, token="tok"):
    state = {"value": None}

    def answer(_method, path, headers, _body):
        assert parse_qs(urlsplit(path).query) == {"api-version": ["7.4"]}
        if headers.get("authorization") != f"Bearer {token}":
            return 401, b"{}", {}
        if state["value"] is None:  # as infra makes it: a version that is switched off
            error = {"code": "Forbidden", "message": "…", "innererror": {"code": "SecretDisabled"}}
            return 403, json.dumps({"error": error}).encode(), {}
        return 200, json.dumps({"value": state["value"], "id": VAULT}).encode(), {}

    web.answers["/secrets/api-keys-default"] = answer
    return state


def azure(web, **environment):
    return secret_stores.find(VAULT, {"SKYLIFT_KEY_VAULT_URL": web.url, **environment})


def _token(web, path, *, needs, names):
    def answer(_method, asked, headers, _body):
        query = {name: one for name, (one,) in parse_qs(urlsplit(asked).query).items()}
        assert query == {**names, "resource": "https://vault.azure.net"}
        if any(headers.get(name) != value for name, value in needs.items()):
            return 400, b"{}", {}
        return 200, json.dumps({"access_token": "tok", "expires_on": str(int(time.time()) + 3600)}).encode(), {}

    web.answers[path] = answer


@pytest.mark.parametrize("kind", ["machine", "container", "azureml"])
def test_azure_gives_a_secret_to_a_managed_identity(web, kind):
    state = vault(web)
    at = {"machine": "/metadata/identity/oauth2/token"}.get(kind, "/msi/token")
    needs = {
        "machine": {"metadata": "true"},
        "container": {"x-identity-header": "h"},
        "azureml": {"secret": "h"},
    }[kind]
    names = {
        "machine": {"api-version": "2018-02-01", "client_id": "me"},
        "container": {"api-version": "2019-08-01", "client_id": "me"},
        "azureml": {"api-version": "2017-09-01", "clientid": "me"},
    }[kind]
    around = {
        "machine": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": web.url, "AZURE_CLIENT_ID": "me"},
        "container": {
            "IDENTITY_ENDPOINT": f"{web.url}/msi/token",
            "IDENTITY_HEADER": "h",
            "AZURE_CLIENT_ID": "me",
        },
        "azureml": {
            "MSI_ENDPOINT": f"{web.url}/msi/token",
            "MSI_SECRET": "h",
            "DEFAULT_IDENTITY_CLIENT_ID": "me",
            "AZURE_CLIENT_ID": "other",
        },
    }[kind]
    _token(web, at, needs=needs, names=names)
    secret = azure(web, **around)
    with pytest.raises(NotFoundError, match="no value yet"):
        secret.read()
    state["value"] = "{}"
    assert secret.read() == secret.read() == b"{}"
    assert web.count(at) == 1


def test_azure_pod_is_known_by_its_federated_token(web, tmp_path):
    vault(web)["value"] = "{}"
    (tmp_path / "token").write_text("assertion")

    def login(_method, _path, _headers, body):
        form = {name: one for name, (one,) in parse_qs(body.decode()).items()}
        assert form["client_assertion"] == "assertion" and form["scope"] == "https://vault.azure.net/.default"
        return 200, json.dumps({"access_token": "tok", "expires_in": 3599}).encode(), {}

    web.answers["/tenant/oauth2/v2.0/token"] = login
    around = {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "me",
        "AZURE_AUTHORITY_HOST": web.url,
    }
    assert azure(web, **around).read() == b"{}"


def test_google_gives_a_secret_to_the_machines_account(web, monkeypatch, tmp_path):
    monkeypatch.setenv("GCE_METADATA_HOST", web.url.removeprefix("http://"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    gcp_token.forget()
    web.say("/computeMetadata/v1/instance/service-accounts/default/token", {"access_token": "tok", "expires_in": 3600})
    secret = secret_stores.find(SECRET, {"SKYLIFT_SECRET_MANAGER_URL": f"{web.url}/v1"})
    with pytest.raises(NotFoundError, match="no value yet"):
        secret.read()
    web.say(f"/v1/{SECRET}/versions/latest:access", {"payload": {"data": base64.b64encode(b"{}").decode()}})
    assert secret.read() == b"{}"
    _, _, headers, _ = web.asked[-1]
    assert headers["authorization"] == "Bearer tok"
    # That account has a right on the secret alone, none to use its project's quota for others.
    assert "x-goog-user-project" not in headers
    gcp_token.forget()


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        (ARN, secret_stores.AwsSecret),
        (f"{ARN}-a1B2c3", secret_stores.AwsSecret),
        (SECRET, secret_stores.GcpSecret),
        (f"{SECRET}/versions/7", secret_stores.GcpSecret),
        (f"https://secretmanager.googleapis.com/v1/{SECRET}/versions/latest", secret_stores.GcpSecret),
        (VAULT, secret_stores.AzureSecret),
        (f"{VAULT}/{'0' * 32}", secret_stores.AzureSecret),
        ("https://labkv.vault.azure.net.evil.example/secrets/x", None),
        ("http://labkv.vault.azure.net/secrets/x", None),
        ("https://labkv.vault.azure.net@evil.example/secrets/x", None),
        ("keys.json", None),
        ("projects/access.json", None),
    ],
)
def test_a_secret_is_known_by_its_name(where, kind):
    found = secret_stores.find(where, STATIC)
    assert type(found) is kind if kind else found is None


def test_nothing_secret_is_sent_without_tls_or_along_a_redirect(web):
    with pytest.raises(CredentialsError, match="without TLS"):
        ask("GET", "http://example.org/", {"Authorization": "secret"})
    web.answers["/here"] = (302, b"", {"Location": f"{web.url}/there"})
    web.say("/there", {})
    assert ask("GET", f"{web.url}/here", {"Authorization": "secret"})[0] == 302
    assert web.count("/there") == 0


def test_a_guard_follows_a_secret_from_before_its_first_value(web, desk, events):
    manager = Manager(web)
    token = desk.add()
    guard = Guard(SecretSource(aws(web, **STATIC)), wall=desk.clock.wall, ticks=desk.clock.monotonic)
    asyncio.run(guard.look())
    assert not guard.is_open
    manager.value = records.encode(desk.document).decode()
    asyncio.run(guard.look())
    assert desk.ask(guard, token).name == "app"
    manager.error = (500, "InternalServiceError")
    asyncio.run(guard.look())
    assert desk.ask(guard, token).name == "app"
    assert [event["event"] for event in events()] == ["access_not_read", "access_read", "access_not_read"]


def test_secrets_are_looked_at_once_a_minute():
    assert open_source(ARN, STATIC).seconds == 60.0
