"""The explorer's server: the same text as test.py, bounds on everything, nothing from elsewhere."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
pytest.importorskip("uvicorn", reason="needs the extra explore: uvicorn is not installed")

from explorer.app import STATIC
from models.lstm import test as lstm_test
from models.tcn import test as tcn_test
from models.transformer import test as transformer_test
from tests.helpers.explorer import CLOSED
from utils.text.streaming import Writing

MAINS = {"lstm": lstm_test.main, "tcn": tcn_test.main, "transformer": transformer_test.main}


def written(client, **asked):
    reply = client.ask("/api/write/text", asked)
    assert reply.status == 200, reply.body
    first, *parts = reply.lines()
    return first["prompt"], [step for part in parts for step in part["steps"]]


@pytest.mark.parametrize("run", MAINS)
def test_the_text_is_that_of_the_command(client, run, capsys):
    options = ["--prompt=the bridge", "--length=300", "--num_samples=1", "--seed=3", "--top_k=9"]
    assert MAINS[run](options) == 0
    shown = re.search(r"\n(?:LSTM|TCN|Transformer):\n(.*)\n\n", capsys.readouterr().out, re.DOTALL)
    prompt, steps = written(client, run=run, prompt="the bridge", length=300, seed=3, k=9)
    assert prompt == "the bridge"
    assert "".join(step["char"] for step in steps) == shown[1]
    assert len(steps) == 300


def test_a_forced_character_changes_nothing_before_it(client):
    _, free = written(client, run="lstm", length=40)
    _, forced = written(client, run="lstm", length=40, force="20.122-22.120")
    assert forced[:20] == free[:20]
    assert (forced[20]["char"], forced[22]["char"]) == ("z", "x")
    assert forced[20]["bars"] == free[20]["bars"]
    assert forced[21] != free[21]


def test_bars_are_shares(client):
    _, steps = written(client, run="tcn", length=5, temperature=0.5, k=3)
    for step in steps:
        drawn = [bar[2] for bar in step["bars"]]
        assert sum(drawn) == pytest.approx(1, abs=1e-3)
        assert sum(share > 0 for share in drawn) <= 3
        assert [bar[1] for bar in step["bars"]] == sorted(
            (b[1] for b in step["bars"]), reverse=True
        )


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"run": "../lstm"}, 400, "there is no run '../lstm' here: choose one of lstm"),
        ({"run": "/etc/passwd"}, 400, "choose one of"),
        ({"run": "gan"}, 400, "choose one of"),
        ({"run": "lstm@7"}, 400, "lstm has no epoch '7'"),
        ({"length": "1000000000"}, 400, "give a whole number in 1..2000"),
        ({"length": "many"}, 400, "give a whole number"),
        ({"temperature": "nan"}, 400, "give a number in 0..10"),
        ({"temperature": "-1"}, 400, "give a number in 0..10"),
        ({"seed": "-1"}, 400, "give a whole number"),
        ({"prompt": "x" * 3000}, 400, "at most 2,000 are taken"),
        ({"prompt": ""}, 400, "the prompt is empty"),
        ({"prompt": "字"}, 400, "not in this model's alphabet"),
        ({"force": "../x"}, 400, "right would be PLACE.CHARACTER"),
        ({"file": "../../etc/passwd"}, 400, "'file' is no setting here"),
    ],
    ids=str,
)
def test_what_is_asked_has_bounds(client, asked, status, says):
    reply = client.ask("/api/write/text", asked)
    assert reply.status == status
    assert says in reply.json()["error"]
    assert "\n" not in reply.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/static/../../README.md", "/%2e%2e/README.md", "/api/none", "/x"],
)
def test_an_address_is_no_path(client, path):
    assert client.ask(path).status == 404


def test_a_foreign_host_is_refused(client):
    for host in ("example.org", "127.0.0.1.example.org", "localhost.example.org:80"):
        assert client.ask("/", Host=host).status == 400
        assert client.ask("/api/runs", Host=host).status == 400


def test_another_page_may_not_ask(client):
    own = {"Host": f"localhost:{client.port}", "Origin": f"http://localhost:{client.port}"}
    assert client.ask("/api/runs", body=b"", **own).status == 200
    for site in ("cross-site", "same-site"):
        assert client.ask("/api/runs", Sec_Fetch_Site=site).status == 403
    for site in ("https://example.org", "null", "http://127.0.0.1:1", "http://localhost"):
        assert client.ask("/api/runs", body=b"", Origin=site).status == 403


def test_too_much_is_not_read(client):
    assert client.ask("/api/write/text", {"prompt": "x" * 70_000}).status == 414
    assert client.ask("/api/write/text", {"prompt": "x" * 10**6}).status in (400, 414, 431, CLOSED)
    assert client.ask("/api/runs", body=b"x" * (20 * 10**6 + 1)).status in (413, CLOSED)
    assert client.ask("/").status == 200


def test_a_browser_is_told_to_load_nothing_else(client):
    for path in ("/", "/app.js", "/api/runs", "/nothing"):
        policy = client.ask(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "http" not in policy


def test_the_page_is_small_and_names_nobody_else():
    files = [file for file in STATIC.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 100_000
    for file in files:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text


def test_two_hundred_connections_at_once(client):
    """Those beyond what is answered at once are told so; the server lives, and forgets them all."""

    def ask(seed):
        return client.ask("/api/write/text", {"run": "lstm", "length": 40, "seed": seed}).status

    with ThreadPoolExecutor(200) as crowd:
        statuses = list(crowd.map(ask, range(200)))
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 1
    assert client.ask("/api/write/text", {"run": "lstm", "length": 2}).status == 200


def test_a_dropped_connection_stops_its_computation(client, monkeypatch):
    """It is dropped after its first lines: of 2,000 characters most are never computed."""
    steps, step = [], Writing.step
    monkeypatch.setattr(Writing, "step", lambda *call: (steps.append(0), step(*call))[1])
    monkeypatch.setattr("explorer.views.write.AT_ONCE", 1)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            head = "GET /api/write/text?run=lstm&length=2000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            connection.sendall(head.encode())
            seen = b""
            while b'"steps"' not in seen:
                seen += connection.recv(1000)
            assert seen.startswith(b"HTTP/1.1 200")
    before = -1
    deadline = time.monotonic() + 60
    while before != len(steps) and time.monotonic() < deadline:
        before = len(steps)
        time.sleep(0.3)
    assert 0 < len(steps) < 3 * 1500
    assert client.ask("/api/write/text", {"run": "lstm", "length": 2}).status == 200
