"""What docs/operations.md says an operator can do: users with few rights, TLS, no secret in a log, limits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ingest import auth
from ingest.auth import Role, make_key
from ingest.settings import ROOT, BadSettings, Settings
from ingest.store import backup, keys, writers
from tests.conftest import HOME, Shop, alive, free_port, need, one_server, wait_for
from workers.supervisor import rq_environment

RQ = str(Path(sys.executable).with_name("rq"))
USERS = ("api", "worker", "dispatcher", "metrics", "phone")


def acl() -> str:
    """The users as docs/operations.md writes them."""
    found = re.search(r"```acl\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


class Guarded:
    """A Redis with those users that speaks nothing but TLS."""

    def __init__(self, folder: Path) -> None:
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", "key.pem",
                        "-out", "cert.pem", *subject], cwd=folder, check=True, capture_output=True)  # fmt: skip
        (folder / "users.acl").write_text(acl())
        self.folder, self.port = folder, free_port()
        tls = ["--tls-port", str(self.port), "--port", "0", "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem",
               "--tls-ca-cert-file", "cert.pem", "--tls-auth-clients", "no"]  # fmt: skip
        self.process = subprocess.Popen(["redis-server", "--dir", str(folder), "--bind", "127.0.0.1", "--save", "", "--aclfile",
                                         str(folder / "users.acl"), *tls], cwd=folder, stdout=subprocess.DEVNULL)  # fmt: skip

    def url(self, user: str) -> str:
        return f"rediss://{user}:{user}-secret@127.0.0.1:{self.port}/0?ssl_ca_certs={self.folder / 'cert.pem'}"

    def client(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(self.url(user), decode_responses=True)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """It, with the passwords `<user>-secret`."""
    need(shutil.which("redis-server") is not None and shutil.which("openssl") is not None, "redis-server and openssl")
    found = Guarded(tmp_path)
    wait_for(lambda: _answers(found), what="redis-server with TLS")
    yield found
    found.process.terminate()
    found.process.wait(5)


def _answers(guarded: Guarded) -> bool:
    try:
        return bool(guarded.client("metrics").ping())
    except redis.ConnectionError:
        return False


def test_every_process_works_as_its_own_user_over_tls(guarded: Guarded, tmp_path: Path) -> None:
    """An order through API, dispatcher and worker, each with its own password; none of them stands in any log."""
    shop = Shop(Settings.read({"REDIS_URL": guarded.url("api"), "LASTLEG_STATE": str(tmp_path / "api")}))
    shop.depot()
    token = shop.crew("anna")
    order = shop.order()["id"]
    log = (tmp_path / "all.log").open("wb")

    def start(user: str, *command: str) -> subprocess.Popen[bytes]:
        told = os.environ | rq_environment() | {"REDIS_URL": guarded.url(user), "PYTHONPATH": str(ROOT),
                                                "LASTLEG_STATE": str(tmp_path / user)}  # fmt: skip
        return subprocess.Popen(command, env=told, cwd=ROOT, stdout=log, stderr=log)

    running = [start("worker", RQ, "worker", queue) for queue in keys.DUE]
    running += [start("dispatcher", sys.executable, "-m", "workers", what) for what in ("dispatch", "archive")]
    try:
        wait_for(lambda: shop.call("GET", f"/v1/orders/{order}").json["status"] == "planned", seconds=30, what="a plan")
        shop.leave(token)
        assert shop.call("GET", "/v1/drivers/me/route", key=token).json["route_version"] >= 1
        wait_for(lambda: "lastleg_looks_total 1" in shop.call("GET", "/metrics").text, what="a look ahead")
        told = os.environ | rq_environment() | {"REDIS_URL": guarded.url("worker")}
        wait_for(lambda: f"{len(keys.DUE)} workers" in subprocess.check_output([RQ, "info"], env=told, cwd=ROOT, text=True),
                 seconds=30, what="all workers")  # fmt: skip
        metrics = guarded.client("metrics")
        assert metrics.hgetall(keys.shared_key("metrics"))
        assert metrics.scard(keys.rq_workers("track")) == 1
        wait_for(lambda: not guarded.client("metrics").zcard(keys.shared_key("improvable")), seconds=30, what="an improvement")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(15)
    log.close()
    text = (tmp_path / "all.log").read_text()
    assert not [user for user in USERS if f"{user}-secret" in text]
    assert next(iter(backup.dump(guarded.client("worker"), "hel")))
    assert "NOPERM" not in text
    assert "No permissions" not in text


@pytest.mark.parametrize(("user", "command"), [
    ("api", ["SET", "rq:queue:repair", "x"]), ("api", ["FLUSHALL"]), ("api", ["CONFIG", "GET", "*"]), ("api", ["GET", "other"]),
    ("worker", ["FLUSHALL"]), ("worker", ["GET", "other"]), ("worker", ["ACL", "LIST"]), ("dispatcher", ["KEYS", "*"]),
    ("dispatcher", ["SHUTDOWN"]), ("metrics", ["SET", "lastleg:schema", "x"]), ("metrics", ["EVAL", "return 1", "0"]),
    ("metrics", ["GET", "other"]), ("phone", ["GET", "lastleg:schema"]), ("phone", ["SUBSCRIBE", "rq:pubsub:x"]),
    ("phone", ["PUBLISH", "lastleg:hel:route:hel.anna", "x"]), ("phone", ["SUBSCRIBE", "lastleg:hel:route:hel.bo"]),
    ("phone", ["PSUBSCRIBE", "lastleg:*:route:*"]), *((user, ["CLIENT", "PAUSE", "1", "ALL"]) for user in USERS),
    *((user, ["CLIENT", "KILL", "TYPE", "normal"]) for user in USERS), ("phone", ["CLIENT", "LIST"]),
    ("worker", ["HSET", "lastleg:keys", "x", "y"]), ("dispatcher", ["HSET", "lastleg:keys", "x", "y"]),
    ("worker", ["HGETALL", "lastleg:keys"]), ("metrics", ["HGETALL", "lastleg:keys"]),
    ("metrics", ["HGETALL", "lastleg:{hel}:personal:hel.anna"]), ("metrics", ["HGETALL", "lastleg:{hel}:routes"]),
])  # fmt: skip
def test_no_user_may_do_more_than_it_must(guarded: Guarded, user: str, command: list[str]) -> None:
    """Other keys, other people's queues, and what would end or empty the server."""
    with pytest.raises(redis.exceptions.NoPermissionError):
        guarded.client(user).execute_command(*command)


def test_a_url_that_is_none_is_told_without_its_password(tmp_path: Path) -> None:
    """By every command, in one line."""
    told = os.environ | {"REDIS_URL": "redis://worker:SEKRET/x@127.0.0.1:6379/0", "LASTLEG_STATE": str(tmp_path)}
    for command in ("key", "dispatch", "migrate"):
        done = subprocess.run([sys.executable, "-m", "workers", command], env=told, cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("settings: REDIS_URL")
        assert "SEKRET" not in done.stderr
    for url in ("redis://:12#34@h", "redis://user:12/34@h", "http://h"):
        with pytest.raises(BadSettings, match="REDIS_URL is no"):
            Settings.read({"REDIS_URL": url})
    with pytest.raises(BadSettings, match="LASTLEG_PORT"):
        Settings.read({"LASTLEG_PORT": "abc"})
    info = subprocess.run([RQ, "info"], env=told | rq_environment(), cwd=ROOT, capture_output=True, text=True)
    assert info.returncode != 0
    assert "SEKRET" not in info.stdout + info.stderr


def test_commands_start_the_embedded_store_where_none_runs(tmp_path: Path) -> None:
    """As after a start that was refused for the data's schema; and end it again."""
    told = os.environ | {"LASTLEG_STATE": str(tmp_path)}
    told.pop("REDIS_URL", None)
    for command in ("key", "migrate"):
        done = subprocess.run([sys.executable, "-m", "workers", command], env=told, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert alive(str(tmp_path)) == []


@one_server
def test_data_are_not_migrated_under_others(shop: Shop) -> None:
    told = os.environ | {"REDIS_URL": str(shop.settings.redis_url)}
    command = [sys.executable, "-m", "workers", "migrate"]
    refused = subprocess.run(command, env=told, cwd=ROOT, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr[:10]) == (1, "connected:")
    assert subprocess.run([*command, "--anyway"], env=told, cwd=ROOT, capture_output=True).returncode == 0


@one_server
def test_a_worker_of_another_schema_takes_no_job(shop: Shop) -> None:
    shop.store.set(keys.shared_key("schema"), "2")
    told = os.environ | rq_environment() | {"REDIS_URL": str(shop.settings.redis_url)}
    done = subprocess.run([RQ, "worker", "--burst", "repair"], env=told, cwd=ROOT, capture_output=True, text=True)
    shop.store.set(keys.shared_key("schema"), keys.SCHEMA)
    assert done.returncode != 0
    assert "schema 2" in done.stderr


def test_keys_that_have_expired_are_removed(shop: Shop) -> None:
    make_key(shop.store, Role.DRIVER, tenant="acme", driver_id="hel.anna", ttl=-1)
    make_key(shop.store, Role.DRIVER, tenant="acme", driver_id="hel.anna", ttl=60)
    before = shop.store.hlen(keys.shared_key("keys"))
    assert auth.forget_expired(shop.store) == 1
    assert shop.store.hlen(keys.shared_key("keys")) == before - 1


@pytest.mark.parametrize("answer", ["READONLY It is a replica.", "NOREPLICAS Not enough good replicas."])
def test_a_redis_that_takes_no_writes_is_no_defect(shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """The API says when to come again, as its errors do that are about to be written."""
    shop.depot()
    error = redis.ReadOnlyError(answer) if answer.startswith("READONLY") else redis.ResponseError(answer)

    def refuses(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(writers, "create_orders", refuses)
    told = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": HOME})
    assert (told.status_code, told.json["code"], told.headers["Retry-After"]) == (503, "redis_read_only", "2")


def test_a_key_may_only_call_so_often(shop: Shop) -> None:
    """Over its burst it hears when to come back; then it may again; others, and operators, are not concerned."""
    shop.depot()
    shop.app.extensions["lastleg"].settings.rates["shipper"] = (5.0, 3)
    answers = [shop.call("GET", "/v1/depots", key=shop.shipper) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["RateLimit"] for answer in answers[:3]] == [f'"shipper";r={left};t=0' for left in (2, 1, 0)]
    assert answers[0].headers["RateLimit-Policy"] == '"shipper";q=5;w=1'
    assert answers[3].json["code"] == "too_many_requests"
    assert answers[3].headers["Retry-After"] == "1"
    assert "RateLimit" not in shop.call("GET", "/v1/depots").headers
    time.sleep(0.25)
    assert shop.call("GET", "/v1/depots", key=shop.shipper).status_code == 200


@pytest.mark.parametrize("text", ["shipper", "shipper=x", "shipper=5/0", "nobody=5/5", "shipper=-1/5"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    """At the start, with what it should look like."""
    with pytest.raises(BadSettings, match="shipper=50/500"):
        Settings.read({"LASTLEG_RATES": text})


def test_rates_are_told_by_role() -> None:
    """What is not named keeps its default; a burst that is not named is what a second allows."""
    assert Settings.read({"LASTLEG_RATES": "driver=7.5 shipper=2/9"}).rates == {
        "shipper": (2.0, 9), "driver": (7.5, 7), "operator": (0.0, 0)}  # fmt: skip


def test_an_api_process_may_open_as_many_files_as_the_system_allows(tmp_path: Path) -> None:
    """Each stream is one, and a shell often allows 1024."""
    script = "import resource; from app import create_front; create_front(); print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    done = subprocess.run(["bash", "-c", f"ulimit -Sn 256; exec {sys.executable} -c '{script}'"], cwd=ROOT, text=True, check=True,
                          capture_output=True, env=os.environ | {"LASTLEG_STATE": str(tmp_path)})  # fmt: skip
    soft, hard = done.stdout.split()
    assert soft == hard != "256"


def test_a_full_store_says_so_and_serves_what_it_has(shop: Shop) -> None:
    """503 with Retry-After for what would need memory; reading goes on, and so does writing when there is room again."""
    shop.depot()
    order = shop.order()["id"]
    shop.store.config_set("maxmemory", "1")
    try:
        full = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": {"lat": 60.1699, "lon": 24.9384}})
        assert (full.status_code, full.json["code"], full.headers["Retry-After"]) == (503, "redis_full", "60")
        for key in (shop.operator, shop.shipper):
            assert shop.call("GET", f"/v1/orders/{order}", key=key).json["status"] == "accepted"
    finally:
        shop.store.config_set("maxmemory", "0")
    shop.order()
