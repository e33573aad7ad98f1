"""Files of orders and fleets: judged row by row, all or as many as are good, told where each fault is, and never twice."""

from __future__ import annotations

import io
import json
import threading
import time
from typing import Any

import polars as pl
import pytest
import redis

from ingest.auth import Role, make_key
from ingest.store import keys, readers, writers
from tests.conftest import SPOTS, Shop, one_server, order
from tests.ingest.test_api import state
from workers import imports, loading, tables


def send(shop: Shop, text: str | bytes, *, key: str | None = None, token: str = "", **query: Any) -> Any:
    headers = {"Idempotency-Key": token} if token else {}
    asked = {"depot_id": "hel"} | {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
    return shop.call(
        "POST", "/v1/imports", data=text, query_string=asked, key=shop.operator if key is None else key, headers=headers
    )


def load(shop: Shop, answer: Any) -> Any:
    """What comes of it when a worker has been there."""
    assert answer.status_code == 202, answer.text
    loading.load(shop.store, shop.settings, "hel")
    return shop.call("GET", answer.headers["Location"]).json


def csv(*rows: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = pl.DataFrame([{name: None if name not in row else str(row[name]) for name in names} for row in rows])
    return frame.write_csv()


def place(number: int) -> dict[str, Any]:
    return {"kind": "delivery", "lat": SPOTS[number]["lat"], "lon": SPOTS[number]["lon"]}


def test_orders_come_as_the_api_takes_them(shop: Shop) -> None:
    """Every column where it belongs; the same order as one that is posted."""
    shop.depot()
    row = place(0) | {
        "external_id": "A",
        "parcels": 2,
        "kg": 7,
        "window_from": "2030-01-01T09:00:00Z;2030-01-01T13:00:00+00:00",
        "window_to": "2030-01-01T10:00:00Z;2030-01-01T14:00:00Z",
        "lateness": "hard",
        "service_time": 60,
        "setup_time": 30,
        "skills": "cold; crane",
        "priority": 5,
        "promised_by": "2030-01-01T10:00:00Z",
        "recipient_name": "Ada, the first",
        "recipient_note": "line one\nline two",
        "kerb": "right",
    }
    told = load(
        shop,
        send(
            shop,
            csv(
                row,
                place(1)
                | {
                    "kind": "transport",
                    "pickup_lat": SPOTS[2]["lat"],
                    "pickup_lon": SPOTS[2]["lon"],
                    "pickup_window_from": "2030-01-01T09:00:00Z",
                    "pickup_window_to": "2030-01-01T10:00:00Z",
                },
            ),
            key=shop.shipper,
        ),
    )
    assert (told["state"], told["accepted"], told["refused"]) == ("done", 2, 0)
    posted = shop.order(
        SPOTS[0],
        demand={"parcels": 2, "kg": 7},
        lateness="hard",
        service_time=60,
        setup_time=30,
        skills=["cold", "crane"],
        windows=[
            {"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"},
            {"from": "2030-01-01T13:00:00Z", "to": "2030-01-01T14:00:00Z"},
        ],
        priority=5,
        promised_by="2030-01-01T10:00:00Z",
        kerb="right",
        recipient={"name": "Ada, the first", "note": "line one\nline two"},
    )
    listed = shop.call("GET", "/v1/orders?depot_id=hel", key=shop.shipper).json["orders"]
    apart = ("id", "stop_id", "external_id", "created_at")
    assert {name: value for name, value in listed[0].items() if name not in apart} == {
        name: value for name, value in posted.items() if name not in apart
    }
    assert listed[1]["pickup"]["windows"] == [{"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"}]
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert len([trigger for trigger in snapshot.triggers if trigger.kind == "order_new"]) == 3


def test_faults_are_told_by_line_and_column_and_all_is_all(shop: Shop) -> None:
    """Lines count as an editor counts them, cells that go over several among them; columns have the file's own names."""
    shop.depot()
    text = (
        "Ref,Kind,Y,X,parcels,note\n"
        f'A,delivery,{SPOTS[0]["lat"]},{SPOTS[0]["lon"]},1,"two\nlines"\n'
        f"B,parcel,{SPOTS[0]['lat']},{SPOTS[0]['lon']},1,\n"
        f"C,delivery,61.5,23.8,many,\n"
        f"A,delivery,{SPOTS[0]['lat']},north,1,\n"
        f'D,delivery,{SPOTS[1]["lat"]},{SPOTS[1]["lon"]},-1,"x\ny\nz"\n'
        f"E,service,{SPOTS[1]['lat']},{SPOTS[1]['lon']},1,\n"
    )
    columns = {"Ref": "external_id", "Kind": "kind", "Y": "lat", "X": "lon", "note": ""}
    before = state(shop)
    told = load(shop, send(shop, text, columns=columns, key=shop.shipper))
    assert (told["state"], told["rows"], told["accepted"], told["refused"]) == ("failed", 6, 0, 5)
    assert [(row["line"], row["column"], row["code"]) for row in told["errors"]] == [
        (4, "Kind", "not_one_of"),
        (5, "parcels", "wrong_type"),
        (6, "X", "wrong_type"),
        (6, "Ref", "duplicate"),
        (7, "parcels", "out_of_range"),
        (10, "parcels", "inconsistent"),
    ]
    after = state(shop)
    assert {name for name in after if after[name] != before.get(name)} <= {"lastleg:{hel}:imports"}
    best = load(shop, send(shop, text, columns=columns, mode="best", key=shop.shipper))
    assert (best["state"], best["accepted"], best["refused"]) == ("done", 1, 5)
    assert [row["external_id"] for row in shop.call("GET", "/v1/orders?depot_id=hel", key=shop.shipper).json["orders"]] == ["A"]


def test_off_the_map_is_a_fault_of_its_row(shop: Shop) -> None:
    shop.depot()
    told = load(shop, send(shop, csv(place(0), place(0) | {"lat": 60.18, "lon": 24.94}), mode="best"))
    assert [(row["line"], row["column"], row["code"]) for row in told["errors"]] == [(3, "lat", "off_map")]
    assert " m from the nearest street" in told["errors"][0]["detail"]
    assert told["accepted"] == 1


@pytest.mark.parametrize(
    ("text", "query", "reason"),
    [
        ("kind,lat,colour\ndelivery,1,red\n", {}, "no column 'colour'"),
        ("kind,kind2\na,b\n", {"columns": {"kind2": "kind"}}, "both 'kind'"),
        ("kind\n", {"columns": {"Art": "kind"}}, "does not have: Art"),
        ('kind,recipient_name\nservice,"Ada\n', {}, "Line 2 is no csv"),
        ("kind\nservice\nköln\n".encode("latin-1"), {}, "Line 3 is not in UTF-8"),
        ('kind,kind,lat\na,"b"c,1,2\n', {}, "no csv"),
        (b"PAR1nonsense", {"format": "parquet"}, "no parquet"),
        ('{"kind": "service"}\n{oops\n', {"format": "ndjson"}, "Line 2 is not JSON"),
        ("[1]\n", {"format": "ndjson"}, "no JSON object"),
        (b"\xff\xfe\x00", {}, "no column"),
        (b"\xff\xfe{", {"format": "ndjson"}, "Line 1 is not in UTF-8"),
    ],
)
@one_server
def test_what_is_no_table_fails_with_a_reason(shop: Shop, text: str | bytes, query: dict[str, Any], reason: str) -> None:
    shop.depot()
    told = load(shop, send(shop, text, **query))
    assert told["state"] == "failed"
    assert reason in told["reason"], told
    assert "Ada" not in told["reason"], "names are nobody's business"


ROW = "{name},service,60.1712,24.9441\n"
HEAD = "external_id,kind,lat,lon\n"


@one_server
def test_lines_that_are_no_rows_are_told_and_the_others_imported(shop: Shop) -> None:
    """A cell too many; the same with `;` between cells, and with a head that goes over lines."""
    shop.depot()
    text = HEAD + ROW.format(name="a") + "b,service,60.1712,24.9441,oops,oops\n" + ROW.format(name="c")
    told = load(shop, send(shop, text, mode="best"))
    assert (told["state"], told["accepted"], told["refused"]) == ("done", 2, 1)
    assert [(row["line"], row["code"]) for row in told["errors"]] == [(3, "bad_row")]
    semicolons = text.replace(",", ";").replace("a;", "d;").replace("c;", "e;").replace('b;', 'f;')
    told = load(shop, send(shop, semicolons, mode="best"))
    assert (told["accepted"], [row["line"] for row in told["errors"]]) == (2, [3])
    over = '"external\nid",kind,lat,lon\n' + ROW.format(name="g") + "h,parcel,60.1712,24.9441\n"
    told = load(shop, send(shop, over, mode="best", columns={"external\nid": "external_id"}))
    assert [(row["line"], row["column"]) for row in told["errors"]] == [(4, "kind")]


@one_server
def test_of_files_that_come_at_once_under_one_key_one_is_imported(shop: Shop) -> None:
    """The one whose answer says so, whoever writes last."""
    shop.depot()
    for turn in range(5):
        answers: dict[str, int] = {}

        def post(name: str, turn: int = turn, answers: dict[str, int] = answers) -> None:
            answer = shop.app.test_client().post("/v1/imports?depot_id=hel", data=HEAD + ROW.format(name=name), headers={
                "Authorization": f"Bearer {shop.shipper}", "Idempotency-Key": f"turn {turn}"})  # fmt: skip
            answers[name] = answer.status_code

        callers = [threading.Thread(target=post, args=(f"{turn}-{letter}",)) for letter in "abcd"]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert sorted(answers.values()) == [202, 422, 422, 422]
        loading.load(shop.store, shop.settings, "hel")
        made = [order["external_id"] for order in shop.call("GET", "/v1/orders?depot_id=hel").json["orders"]]
        assert [name for name in made if name.startswith(f"{turn}-")] == [name for name, code in answers.items() if code == 202]
    assert not [name for name in shop.store.scan_iter() if "import_file" in name]


@one_server
def test_all_rows_or_none_though_somebody_is_faster(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that takes a row's id while the file is written: what had been written is taken back, and can be imported anew."""
    monkeypatch.setattr(loading, "STEP", 2)
    shop.depot()
    text = HEAD + "".join(ROW.format(name=name) for name in "abcdefgh")
    real = writers.import_orders

    def slow(*args: Any, **kwargs: Any) -> Any:
        if shop.store.scard(keys.depot_key("hel", "open")) == 4:
            shop.call("POST", "/v1/orders", order(SPOTS[1], external_id="g"), key=shop.shipper)
        return real(*args, **kwargs)

    monkeypatch.setattr(writers, "import_orders", slow)
    told = load(shop, send(shop, text, key=shop.shipper))
    assert (told["state"], told["accepted"]) == ("failed", 0)
    assert "cancelled" in told["reason"]
    assert [(row["line"], row["code"]) for row in told["errors"]] == [(8, "duplicate")]
    orders_ = shop.call("GET", "/v1/orders?depot_id=hel").json["orders"]
    assert [row["external_id"] for row in orders_ if row["status"] != "cancelled"] == ["g"]
    monkeypatch.setattr(writers, "import_orders", real)
    told = load(shop, send(shop, text, mode="best", key=shop.shipper))
    assert (told["accepted"], told["refused"]) == (7, 1)


@one_server
def test_how_much_may_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many files of one caller, and so many rows of one; what names columns must be sound."""
    shop.depot()
    monkeypatch.setattr(imports, "WAITING", 2)
    for name in "ab":
        send(shop, HEAD + ROW.format(name=name), key=shop.shipper)
    refused = shop.call("POST", "/v1/imports?depot_id=hel", data=HEAD, key=shop.shipper)
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_imports")
    assert shop.call("POST", "/v1/imports?depot_id=hel", data=HEAD).status_code == 202, "others have room of their own"
    loading.load(shop.store, shop.settings, "hel")
    monkeypatch.setattr(tables, "MOST_ROWS", 10)
    raw = io.BytesIO()
    pl.DataFrame({"kind": ["service"] * 11}).write_parquet(raw)
    for text, form in (("kind\n" + "service\n" * 11, "csv"), ('{"kind": "service"}\n' * 11, "ndjson"), (raw.getvalue(), "parquet")):
        assert "11 rows" in load(shop, send(shop, text, format=form))["reason"]
    for columns in ("[" * 9000, '{"\\ud800": "kind"}', '{"a": "\\ud800"}'):
        answer = shop.call("POST", "/v1/imports", data="kind\n", query_string={"depot_id": "hel", "columns": columns})
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "columns")


def test_ndjson_and_parquet(shop: Shop) -> None:
    """Flat or as bodies, a line each; typed columns, lists and times among them."""
    shop.depot()
    body = {
        "kind": "delivery",
        "location": SPOTS[0],
        "external_id": "N1",
        "windows": [{"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"}],
    }
    told = load(
        shop,
        send(shop, "\n".join([json.dumps(body), "", json.dumps(place(1) | {"priority": "high"})]), format="ndjson", mode="best"),
    )
    assert (told["accepted"], [(row["line"], row["column"]) for row in told["errors"]]) == (1, [(3, "priority")])
    raw = io.BytesIO()
    moment = pl.Series("window_from", ["2030-01-01T09:00:00"]).str.to_datetime().dt.replace_time_zone("UTC")
    pl.DataFrame(
        {
            **{name: [value] for name, value in place(2).items()},
            "priority": [7],
            "skills": [["cold"]],
            "window_from": moment,
            "window_to": moment.dt.offset_by("1h"),
            "demand": [{"parcels": 3, "kg": None}],
        }
    ).write_parquet(raw)
    told = load(shop, send(shop, raw.getvalue(), format="parquet"))
    assert told["accepted"] == 1, told
    listed = shop.call("GET", "/v1/orders?depot_id=hel").json["orders"][-1]
    assert (listed["priority"], listed["skills"]) == (7, ["cold"])
    assert listed["windows"] == [{"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"}]


def test_a_fleet_comes_from_three_files(shop: Shop) -> None:
    """Drivers, vehicles, then shifts; what is there already is the same, what clashes is told."""
    shop.depot()
    load(shop, send(shop, csv({"id": "anna", "name": "Anna", "skills": "cold"}, {"id": "bo"}), what="drivers"))
    load(shop, send(shop, csv({"id": "van", "parcels": 10, "cost_fixed": 100}), what="vehicles"))
    hours = {"vehicle_id": "hel.van", "start": "2030-01-01T08:00:00Z", "end": "2030-01-01T16:00:00Z"}
    text = csv(
        {"id": "a", "driver_id": "hel.anna"} | hours,
        {"id": "b", "driver_id": "hel.bo"} | hours,
        {"id": "c", "driver_id": "hel.nobody", "open_end": "true"}
        | hours
        | {"start": "2030-01-01T18:00:00Z", "end": "2030-01-01T19:00:00Z"},
    )
    told = load(shop, send(shop, text, what="shifts", mode="best"))
    assert (told["accepted"], told["refused"]) == (1, 2)
    assert [(row["line"], row["column"], row["code"]) for row in told["errors"]] == [
        (3, "vehicle_id", "overlap"),
        (4, "driver_id", "unknown_id"),
    ]
    assert shop.call("GET", "/v1/drivers/hel.anna").json["name"] == "Anna"
    assert load(shop, send(shop, csv({"id": "anna", "name": "Anna", "skills": "cold"}), what="drivers"))["same"] == 1
    assert load(shop, send(shop, csv({"id": "anna"}), what="drivers"))["errors"][0]["code"] == "duplicate"
    assert send(shop, csv({"id": "eve"}), what="drivers", key=shop.shipper).status_code == 403


def test_sent_twice_is_imported_once(shop: Shop) -> None:
    """By key; without one, what has external ids is there already, and what has none comes twice."""
    shop.depot()
    text = csv(place(0) | {"external_id": "A"}, place(1) | {"external_id": "B"})
    first = send(shop, text, token="k", key=shop.shipper)
    assert load(shop, first)["accepted"] == 2
    again = send(shop, text, token="k", key=shop.shipper)
    assert (again.status_code, again.json["id"], again.json["accepted"]) == (200, first.json["id"], 2)
    assert send(shop, text, token="k", key=shop.shipper, format="ndjson").json["code"] == "idempotency_key_reused"
    told = load(shop, send(shop, text, key=shop.shipper))
    assert (told["accepted"], told["same"]) == (0, 2)
    assert shop.store.scard(keys.depot_key("hel", "open")) == 2
    clash = load(shop, send(shop, csv(place(0) | {"external_id": "A", "priority": 1}), key=shop.shipper, mode="best"))
    assert [(row["line"], row["column"], row["code"]) for row in clash["errors"]] == [(2, "external_id", "duplicate")]


def test_a_worker_that_dies_is_gone_on_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of writing: what was written is found, what was not is written, and all of it counts once."""
    monkeypatch.setattr(loading, "STEP", 2)
    shop.depot()
    answer = send(shop, csv(*(place(number % 5) for number in range(7))))
    write, count = writers.import_orders, []

    def dies(*args: Any, **more: Any) -> Any:
        count.append(1)
        if len(count) == 3:
            write(*args, **more)  # it was written, and nobody was told
            raise redis.ConnectionError
        return write(*args, **more)

    monkeypatch.setattr(writers, "import_orders", dies)
    with pytest.raises(redis.ConnectionError):
        loading.load(shop.store, shop.settings, "hel")
    half = shop.call("GET", answer.headers["Location"]).json
    assert (half["state"], half["accepted"]) == ("writing", 4)
    shop.store.zadd(keys.shared_key("loadable"), {"hel": 0})
    told = load(shop, answer)
    assert (told["state"], told["accepted"], told["written"]) == ("done", 7, 7)
    assert shop.store.scard(keys.depot_key("hel", "open")) == 7
    assert not list(shop.store.scan_iter(match="*import_file*"))


def test_a_full_depot_takes_what_fits(shop: Shop) -> None:
    shop.depot(policy={"max_open_orders": 2})
    told = load(shop, send(shop, csv(*(place(number) for number in range(4))), mode="best"))
    assert (told["accepted"], told["refused"], told["errors"][0]["code"]) == (2, 2, "depot_full")


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    shop.depot()
    told = load(shop, send(shop, csv(place(0), place(1) | {"priority": 101}), dry_run="true", mode="best"))
    assert (told["state"], told["refused"], told["accepted"]) == ("done", 1, 0)
    assert shop.store.scard(keys.depot_key("hel", "open")) == 0


def test_what_cannot_wait_comes_in_files_as_well(shop: Shop) -> None:
    shop.depot()
    load(shop, send(shop, csv({"kind": "service", "dispatch": "immediate"} | {name: place(0)[name] for name in ("lat", "lon")})))
    assert shop.call("GET", "/v1/orders?depot_id=hel").json["orders"][0]["status"] == "matching"


def test_imports_are_their_askers_and_are_forgotten(shop: Shop) -> None:
    shop.depot()
    answer = send(shop, csv(place(0)), key=shop.shipper)
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    assert shop.call("GET", answer.headers["Location"], key=rival).status_code == 404
    assert shop.call("GET", "/v1/imports?depot_id=hel", key=rival).json == {"imports": []}
    assert [row["id"] for row in shop.call("GET", "/v1/imports?depot_id=hel").json["imports"]] == [answer.json["id"]]
    load(shop, answer)
    imports.forget(shop.store, "hel", now=time.time() + imports.KEPT_S - 60)
    assert len(imports.every(shop.store, "hel")) == 1
    imports.forget(shop.store, "hel", now=time.time() + imports.KEPT_S + 60)
    assert imports.every(shop.store, "hel") == []


def test_a_file_may_be_larger_than_a_body_but_not_any_size(shop: Shop) -> None:
    shop.depot()
    rows = csv(place(0) | {"recipient_note": "x" * 900})
    head, row = rows.splitlines()
    many = "\n".join([head, *[row] * 1500])
    assert len(many) > shop.settings.body_limit
    assert load(shop, send(shop, many))["accepted"] == 1500
    huge = send(shop, b"x" * (shop.settings.import_limit + 1))
    assert (huge.status_code, huge.json["code"]) == (413, "body_too_large")
    assert send(shop, b"").json["code"] == "missing"
    assert send(shop, "a", columns=[1]).json["errors"][0]["parameter"] == "columns"


def test_all_is_all_also_against_what_is_there(shop: Shop) -> None:
    """An external id that is taken, a full depot, a driver that is not there or busy: nothing is written, and a trial says so."""
    shop.depot(policy={"max_open_orders": 4})
    shop.crew("anna")
    shop.order(external_id="B")
    rows = [place(0) | {"external_id": name} for name in ("A", "B", "C")]
    for dry in ("false", "true"):
        told = load(shop, send(shop, csv(*rows), key=shop.shipper, dry_run=dry))
        assert (told["accepted"], told["refused"]) == (0, 1)
        assert [(row["line"], row["column"], row["code"]) for row in told["errors"]] == [(3, "external_id", "duplicate")]
    assert shop.store.scard(keys.depot_key("hel", "open")) == 1
    told = load(shop, send(shop, csv(*(place(number) for number in range(4)))))
    assert (told["state"], told["accepted"], told["errors"][0]["code"]) == ("failed", 0, "depot_full")
    hours = {"vehicle_id": "hel.van-anna", "start": "2030-01-01T17:00:00Z", "end": "2030-01-01T18:00:00Z"}
    text = csv(
        {"id": "x", "driver_id": "hel.anna"} | hours,
        {"id": "y", "driver_id": "hel.nobody"} | hours,
        {"id": "z", "driver_id": "hel.anna"} | hours,
    )
    told = load(shop, send(shop, text, what="shifts"))
    assert [(row["line"], row["code"]) for row in told["errors"]] == [(3, "unknown_id"), (4, "overlap")]
    assert len(shop.call("GET", "/v1/shifts?depot_id=hel").json["shifts"]) == 1


def test_another_file_under_a_used_key_is_refused(shop: Shop) -> None:
    shop.depot()
    send(shop, csv(place(0)), token="k", dry_run="true")
    for text, more in (
        (csv(place(1)), {"dry_run": "true"}),
        (csv(place(0)), {}),
        (csv(place(0)), {"dry_run": "true", "mode": "best"}),
    ):
        assert send(shop, text, token="k", **more).json["code"] == "idempotency_key_reused"
    assert send(shop, csv(place(0)), token="k", dry_run="true").status_code == 200


def test_a_file_that_ends_its_process_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries; what comes after it is not held up."""
    shop.depot()
    bad, good = send(shop, csv(place(0))), send(shop, csv(place(1)))
    run = loading.run

    def dies(client: Any, settings: Any, made: Any, *args: Any) -> Any:
        if made.id == bad.json["id"]:
            raise SystemExit  # as a signal would
        return run(client, settings, made, *args)

    monkeypatch.setattr(loading, "run", dies)
    for _ in range(loading.TRIES):
        with pytest.raises(SystemExit):
            loading.load(shop.store, shop.settings, "hel")
        shop.store.zadd(keys.shared_key("loadable"), {"hel": 0})
    assert load(shop, good)["accepted"] == 1
    assert "again and again" in shop.call("GET", bad.headers["Location"]).json["reason"]


@one_server
def test_odd_files(shop: Shop) -> None:
    """Blank lines are no rows, a byte order mark is no letter, and rows of another depot are not of this one."""
    shop.depot()
    row = f"service,{SPOTS[0]['lat']},{SPOTS[0]['lon']}"
    told = load(shop, send(shop, f"\ufeffkind,lat,lon\r\n{row}\r\n\r\n{row},\r\n".replace(",\r\n", "\r\n")))
    assert (told["accepted"], told["refused"]) == (2, 0)
    body = json.dumps({"kind": "service", "location": SPOTS[0], "recipient": {"note": "a\u2028b"}}, ensure_ascii=False)
    assert load(shop, send(shop, ("\ufeff" + body).encode(), format="ndjson"))["accepted"] == 1
    other = load(shop, send(shop, f"depot_id,kind,lat,lon\nhel,{row}\ntre,{row}\n", mode="best"))
    assert (other["accepted"], [(fault["line"], fault["column"]) for fault in other["errors"]]) == (1, [(3, "depot_id")])
    assert "nested" in load(shop, send(shop, "[" * 100_000, format="ndjson"))["reason"]


def test_a_posted_order_in_a_file_is_the_same_order(shop: Shop) -> None:
    """However it comes: with the same values under the same external id nothing is made twice, and nothing clashes."""
    shop.depot()
    body = {"depot_id": "hel", "kind": "delivery", "location": SPOTS[0], "external_id": "A", "demand": {"parcels": 2}}
    shop.made("/v1/orders", body, key=shop.shipper)
    told = load(shop, send(shop, csv(place(0) | {"external_id": "A", "parcels": 2}), key=shop.shipper))
    assert (told["accepted"], told["same"], told["refused"]) == (0, 1, 0)
