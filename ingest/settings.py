"""Settings, read from the environment once per process; `docs/configuration.md` is their table."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from redis.connection import parse_url

from routing.errors import LastlegError

ROOT = Path(__file__).resolve().parent.parent


class BadSettings(LastlegError):
    """A setting that means nothing."""

    code = "settings"


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

RATES = {"shipper": (50.0, 500), "driver": (20.0, 100), "operator": (0.0, 0)}
"""Calls per second and at once that a key of a role may make; 0: any number."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All there is to set. Paths are absolute; `redis_url` None means the embedded server."""

    redis_url: str | None
    state: Path
    maps: tuple[Path, ...]
    host: str
    port: int
    body_limit: int
    archive: Path
    log: str
    rates: dict[str, tuple[float, int]]
    pings: int
    learn_every: int
    archive_days: int
    webhook_networks: tuple[Network, ...]
    import_limit: int
    tiles: str
    tiles_attribution: str

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment (or any mapping).

        Raises
        ------
        BadSettings
            If one of them means nothing.
        """
        env = os.environ if environment is None else environment
        state = Path(env.get("LASTLEG_STATE") or ROOT / "var").resolve()
        extra = [Path(path).resolve() for path in env.get("LASTLEG_MAPS", "").split(os.pathsep) if path]
        return cls(
            redis_url=_redis_url(env.get("REDIS_URL")), state=state, maps=(*extra, state / "maps", ROOT / "data"),
            host=env.get("LASTLEG_HOST", "127.0.0.1"), port=_number(env, "LASTLEG_PORT", 8080),
            body_limit=_number(env, "LASTLEG_BODY_LIMIT", 1 << 20),
            archive=Path(env.get("LASTLEG_ARCHIVE") or state / "archive").resolve(), log=env.get("LASTLEG_LOG", "json"),
            rates=_rates(env.get("LASTLEG_RATES", "")), pings=_number(env, "LASTLEG_PINGS", 200_000),
            learn_every=_number(env, "LASTLEG_LEARN_EVERY", 24), archive_days=_number(env, "LASTLEG_ARCHIVE_DAYS", 400),
            import_limit=_number(env, "LASTLEG_IMPORT_LIMIT", 32 << 20),
            tiles=_tiles(env.get("LASTLEG_TILES", "")), tiles_attribution=env.get("LASTLEG_TILES_ATTRIBUTION", ""),
            webhook_networks=_networks(env.get("LASTLEG_WEBHOOK_NETWORKS", "")),
        )  # fmt: skip


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit()):
        raise BadSettings(f"{name}: {text!r} is no whole number.")
    return int(text)


def _networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8 127.0.0.1/32`: networks that webhooks may be in besides the public internet."""
    try:
        return tuple(ipaddress.ip_network(part) for part in text.split())
    except ValueError as error:
        raise BadSettings(f"LASTLEG_WEBHOOK_NETWORKS: {error}.", remedy="Give networks such as 10.0.0.0/8.") from None


def _tiles(url: str) -> str:
    """`https://tiles.example/{z}/{x}/{y}.png`: a raster map for the pages; their policy names its host."""
    if url and not re.fullmatch(r"https?://[A-Za-z0-9.:{}-]+/[!-~]*", url):
        raise BadSettings(f"LASTLEG_TILES: {url!r} is no URL of tiles.", remedy="Write https://tiles.example/{z}/{x}/{y}.png.")
    return url


def _redis_url(url: str | None) -> str | None:
    """What `REDIS_URL` says; what is wrong with it is told without its password."""
    if not url:
        return None
    try:
        parse_url(url)  # type: ignore[no-untyped-call]  # redis-py does not annotate it
        parts = urlsplit(url)
        if parts.fragment or "@" in parts.path + parts.query:  # the rest of a password
            raise ValueError
    except ValueError:
        raise BadSettings("REDIS_URL is no redis://, rediss:// or unix:// URL.",
                          remedy="Write `/`, `#`, `?`, `@`, `:` and `%` in a password as %2F, %23, %3F, %40, %3A, %25.") from None
    return url


def _rates(text: str) -> dict[str, tuple[float, int]]:
    """`shipper=50/500 driver=20/100`: calls per second and burst by role; what is not named keeps its default."""
    found = dict(RATES)
    for part in text.split():
        told = re.fullmatch(rf"({'|'.join(RATES)})=(\d+(?:\.\d+)?)(?:/([1-9]\d*))?", part)
        if told is None:
            raise BadSettings(f"LASTLEG_RATES: {part!r} is not like shipper=50/500.", remedy=f"For {', '.join(RATES)}.")
        found[told[1]] = (float(told[2]), int(told[3] or max(1.0, float(told[2]))))
    return found
