"""The compose file and what it mounts: schema, secrets, real nginx, MLflow on a real PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import ROOT
from tests.ports import free_port

HERE = ROOT / "serving/deploy/compose"
COMPOSE = yaml.safe_load((HERE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
TEMPORARY = "/tmp/"  # noqa: S108 - inside the container
SECRET = re.compile(r"PASSWORD|SECRET|KEY")


def test_the_file_is_what_compose_takes() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(HERE / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_and_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d", service["image"]) or service["image"].startswith("${SERVICE_IMAGE:?")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    once = service["restart"] == "no"
    assert once or "test" in service["healthcheck"]
    assert ("ports" in service) == (name == "nginx")
    mounted = {v.partition(":")[0] for v in service.get("volumes", ())}
    for volume in mounted:
        chosen = volume.startswith("${")  # a folder that .env names
        assert chosen or volume in COMPOSE["volumes"] or (HERE / volume).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_it_can_reach_or_what_ends(name: str) -> None:
    for other in SERVICES[name].get("depends_on", {}):
        shared = set(SERVICES[name].get("networks", ())) & set(SERVICES[other].get("networks", ()))
        assert shared or SERVICES[other]["restart"] == "no"


def test_databases_and_objects_are_on_no_network_that_leads_out() -> None:
    inner = {name for name, network in COMPOSE["networks"].items() if network and network.get("internal")}
    assert set(SERVICES["postgres"]["networks"]) <= inner
    assert not set(SERVICES["service"]["networks"]) & set(SERVICES["postgres"]["networks"])


def test_no_secret_has_a_default_and_the_example_holds_none() -> None:
    example = dict(
        line.split("=", 1) for line in (HERE / "example.env").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )  # fmt: skip
    asked = set()
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            if SECRET.search(name):
                match = re.fullmatch(r"\$\{(\w+):\?[^}]+\}", value)
                assert match, f"{name} is not asked for: {value}"
                asked.add(match[1])
    assert asked and asked <= example.keys()
    assert all(value == "" for name, value in example.items() if SECRET.search(name))


def test_versions_are_those_of_the_lock() -> None:
    """The server's database and the clients' must be of one version of MLflow."""
    lock = (ROOT / "uv.lock").read_text()
    for package in ("mlflow", "boto3"):
        version = re.search(rf'name = "{package}"\nversion = "([^"]+)"', lock)
        assert version and re.search(rf"{package}(\[auth\])?=={re.escape(version[1])}",
                                     (HERE / "mlflow.Dockerfile").read_text())  # fmt: skip
    assert SERVICES["mlflow"]["image"].endswith(re.search(r'name = "mlflow"\nversion = "([^"]+)"', lock)[1])


@contextmanager
def nginx(folder: Path, ports: dict[str, int], listen: int) -> Iterator[None]:
    """The real nginx with our configuration; only addresses are those of this machine."""
    text = (HERE / "nginx.conf").read_text().replace("listen 8080", f"listen 127.0.0.1:{listen}")
    for name, port in ports.items():
        text, found = re.subn(rf"http://{name}:\d+", f"http://127.0.0.1:{port}", text)
        assert found == 1
    text = text.replace(TEMPORARY, f"{folder}/")
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            yield
        finally:
            server.terminate()


def ask(url: str, *, body: bytes | None = None, user: str = "", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def until_answers(url: str, seconds: float, server: subprocess.Popen[bytes] | None = None) -> None:
    ends = time.monotonic() + seconds
    while True:
        try:
            ask(url)
            return
        except OSError:
            assert server is None or server.poll() is None, "the server ended"
            assert time.monotonic() < ends, f"{url} does not answer"
            time.sleep(0.1)


@pytest.mark.skipif(NGINX is None, reason="nginx (Debian: nginx-light) is not here")
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    text = (HERE / "nginx.conf").read_text().replace(TEMPORARY, f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text)
    command = [str(NGINX), "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "warn" not in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="nginx (Debian: nginx-light) is not here")
def test_nginx_leads_each_name_to_its_service(tmp_path: Path) -> None:
    names = ("service", "mlflow", "storage", "grafana")
    ports = {name: free_port() for name in names}
    script = (
        "import sys, http.server as h\n"
        "class Handler(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.rfile.read(int(self.headers.get('Content-Length', 0)))\n"
        "        text = f'{sys.argv[1]} {self.headers[\"Host\"]}'.encode()\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(text)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(text)\n"
        "    do_POST = do_GET\n"
        "h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[2])), Handler).serve_forever()\n"
    )
    servers = [subprocess.Popen([sys.executable, "-c", script, name, str(port)], stderr=subprocess.DEVNULL)
               for name, port in ports.items()]  # fmt: skip
    try:
        for port in ports.values():
            until_answers(f"http://127.0.0.1:{port}/", 20)
        listen = free_port()
        with nginx(tmp_path, ports, listen):
            url = f"http://127.0.0.1:{listen}"
            until_answers(url, 10)
            for host, name in zip(("model", "mlflow", "storage", "grafana"), names, strict=True):
                status, said = ask(f"{url}/a?b=c", Host=f"{host}.localhost:{listen}")
                assert (status, said.decode()) == (200, f"{name} {host}.localhost:{listen}")
            assert ask(url)[0] == 404
            assert ask(f"{url}/nginx-health")[0] == 204
            assert ask(f"{url}/metrics", Host="model.localhost")[0] == 404
            big = b"x" * 3_000_000
            assert ask(f"{url}/predict", body=big, Host="model.localhost")[0] == 413
            assert ask(f"{url}/upload", body=big, Host="mlflow.localhost")[0] == 200
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    assert "b=c" not in (tmp_path / "log").read_text()


@contextmanager
def postgres(folder: Path, port: int, password: str) -> Iterator[None]:
    """The newest PostgreSQL of this machine, as an unprivileged user, with our databases."""
    bin_ = POSTGRES[-1].parent
    data = folder / "data"
    data.mkdir()
    (folder / "password").write_text(password)
    prefix: list[str] = []
    if os.geteuid() == 0:
        prefix = ["runuser", "-u", "postgres", "--"]
        for place in (folder, data, folder / "password"):
            shutil.chown(place, "postgres")
    env = {
        **os.environ,
        "PGPASSWORD": password,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": "mlflow",
    }
    subprocess.run([*prefix, str(bin_ / "initdb"), "--pgdata", str(data), "--username=mlflow",
                    "--encoding=UTF8",
                    "--locale=C", f"--pwfile={folder}/password", "--auth=scram-sha-256"],
                   check=True, stdout=subprocess.DEVNULL, cwd=folder)  # fmt: skip
    command = [*prefix, str(bin_ / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder),
               "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        psql = [str(bin_ / "psql"), "--quiet", "-v", "ON_ERROR_STOP=1", "--dbname=postgres"]
        ends = time.monotonic() + 60
        while subprocess.run([*psql, "-c", "select 1"], env=env, capture_output=True).returncode:
            assert time.monotonic() < ends and server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        subprocess.run([*psql, "-c", "create database mlflow"], env=env, check=True)  # as POSTGRES_USER does
        subprocess.run([*psql, "-f", str(HERE / "databases.sql")], env=env, check=True)
        yield
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL (Debian: postgresql) is not here")
def test_mlflow_with_passwords_on_postgresql() -> None:
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    password, port = "p%w'o$r d-of-the-admin", free_port()
    database = free_port()
    env = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(database), "PGUSER": "mlflow",
           "PGPASSWORD": "of the database", "MLFLOW_ADMIN_PASSWORD": password, "MLFLOW_LISTEN": "127.0.0.1",
           "MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "1",
           "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret of the forms",
           "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*", "MLFLOW_ARTIFACTS": str(folder / "artifacts"),
           "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    env.pop("MLFLOW_TRACKING_URI", None)
    short = subprocess.run(
        ["/bin/sh", str(HERE / "mlflow.sh")], env={**env, "MLFLOW_ADMIN_PASSWORD": "password"}
    )
    assert short.returncode == 2
    url = f"http://127.0.0.1:{port}"
    try:
        with postgres(folder, database, "of the database"), (folder / "mlflow.log").open("wb") as log:
            server = subprocess.Popen(["/bin/sh", str(HERE / "mlflow.sh")], env=env, stdout=log, stderr=log,
                                      cwd=folder, start_new_session=True)  # fmt: skip
            try:
                until_answers(f"{url}/health", 180, server)
                api = f"{url}/api/2.0/mlflow"
                body = json.dumps({"name": "flights"}).encode()
                kind = {"Content-Type": "application/json"}
                assert ask(f"{api}/experiments/create", body=body, **kind)[0] == 401
                assert (
                    ask(f"{api}/experiments/create", body=body, user="admin:password1234", **kind)[0] == 401
                )
                status, said = ask(f"{api}/experiments/create", body=body, user=f"admin:{password}", **kind)
                assert status == 200, said
                number = json.loads(said)["experiment_id"]
                status, said = ask(f"{api}/experiments/get?experiment_id={number}", user=f"admin:{password}")
                assert json.loads(said)["experiment"]["name"] == "flights"
                status, _ = ask(f"{api}/experiments/get?experiment_id={number}", user=f"admin:{password}",
                                Host="evil.example.org")  # fmt: skip
                assert status == 403
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, 15)
                server.wait()
    except BaseException:
        print((folder / "mlflow.log").read_text()[-3000:] if (folder / "mlflow.log").exists() else "")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
