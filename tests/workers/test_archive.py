"""Events and pings reach Parquet before they leave Redis."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import polars as pl
import pytest

from ingest.settings import Settings
from ingest.store import keys
from tests.conftest import SPOTS, Shop
from workers import archive


def test_events_are_archived_once_and_only_then_trimmed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between writing and acknowledging, the same batch is written to the same file again."""
    monkeypatch.setattr(archive, "KEEP", 2)
    shop.depot()
    for spot in SPOTS[:3]:
        shop.order(spot)
    folder = shop.settings.archive
    stream = keys.shared_key("events")
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.store), "xack", _killed)
        with pytest.raises(KeyboardInterrupt):
            archive.archive(shop.store, folder, "events")
    assert shop.store.xlen(stream) == 3
    assert archive.archive(shop.store, folder, "events") == 3
    assert archive.archive(shop.store, folder, "events") == 0
    files = list((folder / "events").glob("*.parquet"))
    frame = pl.read_parquet(files)
    assert frame["type"].to_list() == ["order.created"] * 3
    assert frame["id"].n_unique() == 3


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_pings_are_archived_as_batches(shop: Shop) -> None:
    """What the phones sent, with the depot and the driver."""
    shop.depot()
    anna = shop.crew("anna")
    ping = {"lat": 60.17, "lon": 24.94, "recorded_at": "2030-01-01T08:00:00Z", "seq": 1, "accuracy_m": 5.0}
    shop.call("POST", "/v1/drivers/me/pings", [ping, ping | {"seq": 2}], key=anna)
    assert archive.archive(shop.store, shop.settings.archive, "pings") == 1
    frame = pl.read_parquet(list((shop.settings.archive / "pings").glob("*.parquet")))
    assert frame["driver"].to_list() == ["hel.anna"]
    assert '"accuracy_m":5.0' in frame["pings"][0]


def test_a_stream_is_never_trimmed_past_a_group_that_lags(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dispatcher that has not read yet keeps the entries alive."""
    monkeypatch.setattr(archive, "KEEP", 1)
    shop.depot()
    stream = keys.shared_key("events")
    shop.store.xgroup_create(stream, "dispatch", id="0", mkstream=True)
    for spot in SPOTS[:3]:
        shop.order(spot)
    archive.archive(shop.store, shop.settings.archive, "events")
    assert len(shop.store.xreadgroup("dispatch", "x", {stream: ">"})[0][1]) == 3


def test_learning_is_due_by_what_was_learned_last(settings: Settings) -> None:
    """However often the archiver is started; and never where it is switched off."""
    now = time.time()
    tried = now - settings.learn_every * 3600 + archive.FIRST_S
    assert not archive.learning_due(settings, tried, now)
    assert archive.learning_due(settings, tried, now + archive.FIRST_S + 1), "nothing was ever learned"
    assert not archive.learning_due(replace(settings, learn_every=0), 0.0, now)
    (settings.state / "learned" / "maps").mkdir(parents=True)
    (settings.state / "learned" / "maps" / "helsinki.json").write_text("{}")
    assert not archive.learning_due(settings, tried, now + archive.FIRST_S + 1)
    assert archive.learning_due(settings, tried, now + 25 * 3600)


def test_old_files_go_when_the_setting_says(settings: Settings) -> None:
    """By their age; 0 keeps all."""
    folder = settings.archive / "events"
    folder.mkdir(parents=True)
    for name, days in (("old", 11), ("new", 9)):
        (folder / f"{name}.parquet").write_bytes(b"")
        os.utime(folder / f"{name}.parquet", (0, time.time() - days * 86_400))
    assert archive.expire(replace(settings, archive_days=0), time.time()) == 0
    assert archive.expire(replace(settings, archive_days=10), time.time()) == 1
    assert [path.stem for path in folder.iterdir()] == ["new"]
