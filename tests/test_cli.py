"""The command line in processes of its own: output, errors, exit codes."""

import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from support import add_bad_files, read, verger
from verger import schema


@pytest.fixture(scope="module")
def finished(tmp_path_factory, weights):
    """A finished run of sample photos."""
    folder = tmp_path_factory.mktemp("finished")
    drawn = verger("sample", folder / "photos", "--images", 30, "--json")
    assert drawn.returncode == 0, drawn.stderr
    assert sum(json.loads(drawn.stdout)["kinds"].values()) == 30
    (folder / "photos" / "bad.jpg").write_text("not a photo")
    done = verger("run", folder / "photos", folder / "out", "--weights", weights)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_run_tells_what_it_did(finished):
    folder, done = finished
    assert "31 photos = 30 featurised + 1 rejected + 0 reused" in done.stdout
    assert "1 decode/not_an_image" in done.stdout
    assert str(folder / "out") in done.stdout
    assert "Photos to features: 31" in done.stderr  # plain lines: no terminal here


def test_run_again_with_json_and_quiet(finished, weights):
    folder, _ = finished
    again = verger(
        "run", folder / "photos", folder / "out", "--weights", weights, "--quiet", "--json"
    )
    assert again.returncode == 0
    assert again.stderr == ""
    assert json.loads(again.stdout)["counts"]["reused"] == 31


def test_settings_from_environment_and_file(finished, weights, tmp_path):
    folder, _ = finished
    (tmp_path / "my.toml").write_text("[run]\ncomponents = 3\n")
    done = verger(
        "run", folder / "photos", tmp_path / "out", "--config", tmp_path / "my.toml", "--json",
        VERGER_WEIGHTS=str(weights), VERGER_LAYOUT="none",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["pca"]["components"] == 3
    assert report["settings"]["layout"] == "none"


def test_inspect(finished):
    folder, _ = finished
    text = verger("inspect", folder / "out").stdout
    assert "status      complete" in text
    assert "bad.jpg: decode/not_an_image" in text
    report = json.loads(verger("inspect", folder / "out", "--json").stdout)
    assert report["rows"] == {"features": 30, "rejected": 1, "pca": 30}
    missing = verger("inspect", folder / "nothing")
    assert missing.returncode == 1
    assert "holds no run" in missing.stderr


@pytest.mark.parametrize("column", ["pca", "features"])
def test_export(finished, tmp_path, column):
    folder, _ = finished
    expected = read(folder / "out" / column)
    matrix = schema.matrix(expected[column], column)
    for kind in ("csv", "parquet", "npz"):
        file = tmp_path / f"rows.{kind}"
        flags = ["--features"] if column == "features" else []
        done = verger("export", folder / "out", file, *flags, "--json")
        assert json.loads(done.stdout)["rows"] == 30
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        order = np.argsort(arrays["path"])
        assert np.array_equal(arrays[column][order], matrix)
        assert arrays["label"][order].tolist() == expected["label"].to_pylist()
    table = pq.read_table(tmp_path / "rows.parquet").sort_by("path")
    assert table[column].to_pylist() == expected[column].to_pylist()
    rows = pyarrow.csv.read_csv(tmp_path / "rows.csv").sort_by("path")
    assert rows["label"].to_pylist() == expected["label"].to_pylist()
    values = np.stack([rows[f"{column}_{i}"].to_numpy() for i in range(matrix.shape[1])], axis=1)
    assert np.abs(values - matrix).max() < 1e-5


def test_export_refuses_what_it_cannot_write(finished, tmp_path):
    folder, _ = finished
    wrong = verger("export", folder / "out", tmp_path / "rows.xlsx")
    assert (wrong.returncode, "expected a name ending in .csv" in wrong.stderr) == (2, True)
    nowhere = verger("export", folder / "out", tmp_path / "no" / "rows.csv")
    assert nowhere.returncode == 2
    empty = verger("export", tmp_path, tmp_path / "rows.csv")
    assert (empty.returncode, list(tmp_path.glob("rows*"))) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nowhere", "out"], 1, "PHOTOS"),
        (["run", "."], 2, "Missing argument"),
        (["run", ".", "out", "--components", "0"], 2, "--components '0': expected a number of"),
        (["run", ".", "out", "--no-such"], 2, "No such option"),
        (["run", ".", "out", "--engine", "gpu"], 2, "expected embedded, spark or sc://host:port"),
        (["run", ".", "out", "--layout", "{a}/{b}"], 2, "has no {label}"),
        (["run", "s3://bucket/x", "out"], 2, "s3:// is not supported yet"),
        (["weights", "--accept-sha256", "ab"], 2, "goes with --download"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_exit_codes(arguments, code, message, tmp_path):
    found = verger(*arguments)
    assert found.returncode == code
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_too_many_rejected_is_a_failure_of_the_work(photos, weights, tmp_path):
    add_bad_files(photos)
    found = verger("run", photos, tmp_path / "out", "--weights", weights, "-q")
    assert found.returncode == 1
    assert "more than --max-rejected 0.05 allows" in found.stderr


@pytest.mark.parametrize(
    "command", [[], ["run"], ["doctor"], ["weights"], ["sample"], ["export"], ["inspect"]]
)
def test_help_teaches_every_option(command):
    text = verger(*command, "--help").stdout
    assert "Exit codes: 0 done, 1 a failure of the work, 2 wrong usage, 130 interrupted." in text
    for line in text.splitlines():
        if line.startswith("  --"):
            assert len(line.split(maxsplit=1)) == 2


def test_weights_shows_where_it_looks(weights, tmp_path):
    found = json.loads(verger("weights", "--weights", weights, "--json").stdout)
    assert found["used"] == str(weights)
    assert found["width"] == 0.35
    assert [source["kind"] for source in found["sources"]][:2] == ["option", "cache"]


def test_weights_that_cannot_be_had(tmp_path):
    found = verger(
        "weights", "--download",
        VERGER_WEIGHTS_URL="http://127.0.0.1:1/x.h5", VERGER_CACHE=str(tmp_path),
    )  # fmt: skip
    assert found.returncode == 1
    assert "ways out" in found.stderr


@pytest.mark.parametrize("engine", ["embedded", "spark"])
def test_doctor_runs_a_trial(engine, weights, request):
    if engine == "spark":
        request.getfixturevalue("spark_session")
    found = verger("doctor", "--engine", engine, "--weights", weights)
    assert found.returncode == 0, found.stdout
    assert "4 of 4 photos on" in found.stdout
    assert found.stdout.endswith("ready\n")


def test_doctor_says_what_is_missing(tmp_path):
    found = verger("doctor", "--weights", tmp_path / "none.h5", "--json")
    assert found.returncode == 1
    document = json.loads(found.stdout)
    assert not document["ready"]
    assert any(f["name"] == "weights" and f["ok"] is False for f in document["findings"])
