"""The view Faces: codes, names and turns are the project's own; what is sent has bounds."""

import base64
import io
import json
import struct
import subprocess
import sys
import zlib
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="needs the extra explore: starlette is not installed")
pytest.importorskip("uvicorn", reason="needs the extra explore: uvicorn is not installed")

from explorer import beside
from explorer.library import Library
from explorer.pictures import pack
from explorer.views import faces as view
from explorer.web import Query
from solver import Solver
from tests.helpers.explorer import CLOSED
from utils import files
from utils.errors import UserError
from utils.images.data import Images
from utils.images.figures import to_bytes
from utils.images.files import load_picture
from utils.training import checkpoint
from vae.analysis import latents
from vae.analysis.latents import analyse
from vae.analysis.rotation import learn_rotation
from vae.faces.factors import FACTORS, NAMES
from vae.faces.head import render
from vae.latents import decode, encode, generate, measure_reconstruction

RUNS = ("vae_beta_0", "vae_beta_4", "vae_beta_20")
FEW = 300  # faces that latents are measured on here
ASK = beside.Beside.ask  # `serving` puts a thread in its place


@pytest.fixture(scope="module")
def library():
    return Library()


@pytest.fixture(scope="module")
def measured():
    """Measures two runs, here and not in a process beside; gives the analyses, too."""
    analyses = []
    with patch.object(
        latents, "analyse", lambda *call: analyses.append(analyse(*call)) or analyses[-1]
    ):
        found = [beside.measure(run, None, FEW) for run in RUNS[:2]]
    return dict(zip(RUNS, zip(found, analyses, strict=True), strict=False))


def ask(route, library, body=b"", **asked):
    query = Query({key: str(value) for key, value in asked.items()}, body)
    return view.ROUTES[route](query, library)


def unpack(found):
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    return pixels.reshape(found["shape"])


def make_face(**changed):
    """Renders a face by the project's renderer, all other factors in the middle."""
    values = {f.name: (f.low + f.high) / 2 for f in FACTORS} | {"hair_style": 1, "hat": 0}
    values |= {"glasses": 0} | changed
    return render(torch.tensor([[values[name] for name in NAMES]])).numpy()


def send(face):
    return pack(torch.from_numpy(face).float() / 255)["pixels"].encode()


def test_a_face_is_rendered_by_its_factors(library):
    asked = {name: (f.low + f.high) / 2 for name, f in zip(NAMES, FACTORS, strict=True)}
    asked |= {"yaw": 31, "smile": -0.4, "hair_style": "long", "hat": "yes", "glasses": "no"}
    factors = {"yaw": 31, "smile": -0.4, "hair_style": 2, "hat": 1}
    got = unpack(ask("rendered", library, **asked)).astype(int)
    assert np.abs(got - make_face(**factors)).max() <= 1  # a half may be rounded either way
    assert np.abs(got - make_face(**factors | {"hat": 0})).max() > 100


def test_the_page_begins_with_a_face_it_lists(library):
    known = ask("factors", library)["factors"]
    first = ask("rendered", library, **{one["name"]: one["first"] for one in known})
    assert first == ask("rendered", library)
    assert [one["name"] for one in known] == list(NAMES)


@pytest.mark.parametrize("run", RUNS)
def test_codes_and_picture_are_the_models_own(library, run):
    solver, face = Solver.load(run), make_face(yaw=20, smile=1)
    images = Images(face, "a face")
    found = ask("face", library, send(face), run=run)
    mu = encode(solver.model, images).mu
    assert found["codes"] == pytest.approx(mu[0].tolist(), abs=1e-4)
    assert np.array_equal(unpack(found), to_bytes(decode(solver.model, mu)))
    squared = measure_reconstruction(solver.model, images, "bernoulli")[1]
    assert found["squared_error"] == pytest.approx(squared, rel=1e-5)


def test_latents_are_set_to_what_is_asked(library):
    model, face = Solver.load("vae_beta_4").model, make_face()
    mu = encode(model, Images(face, "a face")).mu
    mu[0, 14], mu[0, 3] = -1.5, 2
    found = ask("face", library, send(face), z="14*-1.5*3*2")
    assert found["codes"] == pytest.approx(mu[0].tolist(), abs=1e-4)
    assert np.array_equal(unpack(found), to_bytes(decode(model, mu)))
    every = "*".join(f"{n}*{value!r}" for n, value in enumerate(mu[0].tolist()))
    alone = ask("face", library, z=every)  # of a photograph the address holds no more
    assert unpack(alone).tolist() == unpack(found).tolist()
    assert alone["squared_error"] is None


def test_a_random_face_is_the_first_of_the_command(library):
    for run in RUNS[1:]:
        first = to_bytes(generate(Solver.load(run).model, 8, 5))[:1]
        assert np.array_equal(unpack(ask("face", library, run=run, seed=5)), first)


def test_names_are_those_of_the_analysis(measured):
    for found, analysis in measured.values():
        rows = [row for row in analysis.rows() if row["active"]]
        assert [one["name"] for one in found["latents"]] == [row["name"] for row in rows]
        assert [one["nats"] for one in found["latents"]] == [row["kl_nats"] for row in rows]
    without, found = (measured[run][0] for run in RUNS[:2])
    assert {"hat", "glasses"} <= {one["name"] for one in found["latents"]}
    assert {one["name"] for one in without["latents"]} == {""}
    assert "8 below 0.01 nats" in found["rest"]


def test_a_turn_is_that_of_the_command(library, measured, monkeypatch):
    found = json.loads(json.dumps(measured["vae_beta_4"][0]))  # as it comes from the other process
    monkeypatch.setattr(view, "find_measured", lambda run, library: found)
    solver, face = Solver.load("vae_beta_4"), make_face(yaw=-20)
    rotation = learn_rotation(solver.model, beside.render(FEW))
    z = encode(solver.model, Images(face, "a face")).mu
    for degrees in (-40, 25):
        turned = rotation.turn(z, torch.tensor([degrees]))[0]
        asked = ask("face", library, send(face), turn=degrees)
        assert np.array_equal(unpack(asked), to_bytes(decode(solver.model, turned)))
    monkeypatch.setattr(view, "find_measured", lambda run, library: None)
    with pytest.raises(UserError, match="still being measured"):
        ask("face", library, send(face), turn=25)


def test_a_photograph_is_read_as_the_command_reads_it(library, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    for ending, how in [
        ("png", {}),
        (
            "jpg",
            {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
        ),
    ]:
        file = tmp_path / f"me.{ending}"
        Image.fromarray(noise).resize((450, 200)).save(file, **how)
        found = ask("photograph", library, file.read_bytes())
        assert np.array_equal(unpack(found)[0], load_picture(file))
        assert found["note"] == ""
    dark = io.BytesIO()
    Image.fromarray(noise % 2).save(dark, "png")
    assert "black 0 to white 1" in ask("photograph", library, dark.getvalue())["note"]


def make_photograph(size=(300, 200)):
    noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size).save(file, "jpeg")
    return file.getvalue()


def make_bomb(side):
    """Makes a PNG of some hundred bytes whose header promises side x side pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10**4))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no picture was sent"),
        (b"hello", "no picture that can be read: Pillow here cannot read it"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "Pillow here cannot read it"),
        (make_bomb(60_000), "beyond 500 MB of memory"),
        (make_photograph()[:900], "damaged"),
    ],
    ids=["nothing", "text", "a program", "a bomb", "cut short"],
)
def test_what_is_no_picture_is_refused_in_one_line(client, body, says):
    reply = client.ask("/api/faces/photograph", body=body)
    assert reply.status == 400
    assert says in reply.json()["error"]
    assert "\n" not in reply.json()["error"]


@pytest.mark.parametrize(
    ("path", "asked", "body", "says"),
    [
        ("face", {"run": "../vae_beta_4"}, None, "there is no run"),
        ("face", {"run": "lstm"}, None, "choose one of"),
        ("face", {"run": "mnist_2d"}, None, "takes pictures of (1, 28, 28)"),
        ("latents", {"run": "mnist_2d"}, None, "takes pictures of (1, 28, 28)"),
        ("latents", {"run": "vae_beta_4", "pictures": "1"}, None, "'pictures' is no setting here"),
        ("face", {"z": "20*1"}, None, "latents 0..19"),
        ("face", {"z": "-1*1"}, None, "latents 0..19"),
        ("face", {"z": "3*nan"}, None, "to be 'nan'"),
        ("face", {"z": "3*1e9"}, None, "-100..100"),
        ("face", {"z": "3"}, None, "to be ''"),
        ("face", {"z": "3*1*" * 6000}, None, "at most 20,000 are taken"),
        ("face", {"seed": "-2"}, None, "seed is '-2'"),
        ("face", {"turn": "46"}, None, "in -45..45"),
        ("face", {"turn": ""}, None, "in -45..45"),
        ("face", {}, b"AAAA", "no picture (3, 64, 64)"),
        ("face", {}, b"\xff" * 16384, "no picture (3, 64, 64)"),
        ("rendered", {"yaw": "46"}, None, "yaw is '46'"),
        ("rendered", {"smile": "inf"}, None, "smile is 'inf'"),
        ("rendered", {"hat": "top"}, None, "give one of no, yes"),
        ("rendered", {"beard": "1"}, None, "'beard' is no setting here"),
    ],
    ids=str,
)
def test_what_is_asked_has_bounds(client, path, asked, body, says):
    reply = client.ask(f"/api/faces/{path}", asked, body=body)
    assert reply.status == 400, reply.body
    assert says in reply.json()["error"]


def test_a_large_body_is_not_read(client):
    for path in ("photograph", "face"):
        reply = client.ask(f"/api/faces/{path}", body=b"x" * (20 * 10**6 + 1))
        assert reply.status in (413, CLOSED)
    assert client.ask("/api/faces/factors").status == 200


def test_a_path_in_a_run_is_not_opened(library, tmp_path, monkeypatch):
    """A run that learned from photographs is measured on rendered faces."""
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    content = checkpoint.load(files.ROOT / "pretrained" / "vae_beta_20.pt")
    content["config"]["data"]["data"] = str(tmp_path / "photographs")
    (tmp_path / "checkpoints" / "mine").mkdir(parents=True)
    checkpoint.save(tmp_path / "checkpoints" / "mine" / "best.pt", content)
    assert library.entries()["mine"].data == "faces"
    assert len(beside.measure("mine", "best", 40)["latents"]) == 9
    found = ask("face", library, run="mine", seed=5)
    assert (
        unpack(found).tolist() == unpack(ask("face", library, run="vae_beta_20", seed=5)).tolist()
    )


def test_it_is_measured_beside(monkeypatch):
    """Answers come in order, mistakes are one line, and the process ends when none waits."""
    monkeypatch.setattr(beside.Beside, "ask", ASK)
    asked = beside.Beside()
    futures = [
        asked.ask({"run": run, "epoch": None, "pictures": 40}) for run in ("no", "vae_beta_4")
    ]
    process = asked.process
    with pytest.raises(UserError, match="no run 'no'"):
        futures[0].result(120)
    assert len(futures[1].result(120)["latents"]) == 12
    assert process.wait(60) == 0
    assert asked.process is None
    broken = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
    pipe = subprocess.PIPE
    monkeypatch.setattr(
        beside, "start", lambda: subprocess.Popen(broken, stdin=pipe, stdout=pipe, text=True)
    )
    with pytest.raises(UserError, match="ended early"):
        asked.ask({"run": "vae_beta_4"}).result(60)
