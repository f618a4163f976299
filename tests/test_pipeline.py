"""The main job, the same on the embedded engine and on Apache Spark."""

import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import decomposition

from support import add_bad_files, read
from verger import backbone, bundle, pipeline, schema
from verger.errors import (
    BundleError,
    CollectionError,
    LayoutError,
    OutputError,
    SettingsError,
    StatisticsError,
    TooManyRejected,
)
from verger.features import extractor
from verger.images import Limits
from verger.photos import featurise
from verger.settings import Settings


def run(photos, out, weights, **options):
    return pipeline.run(Settings.resolve(photos, out, environ={}, weights=str(weights), **options))


def same_rows(one, other, column="features"):
    keys = [name for name in one.schema.names if name != column]
    assert one.select(keys).to_pylist() == other.select(keys).to_pylist()
    difference = schema.matrix(one[column], column) - schema.matrix(other[column], column)
    assert np.abs(difference).max() < 1e-5


def test_every_photo_is_featurised_or_rejected(engine, photos, weights, tmp_path):
    bad = add_bad_files(photos)
    out = tmp_path / "out"
    report = run(photos, out, weights, engine=engine, max_rejected=0.5)

    assert report.counts["listed"] == 48 + len(bad)
    assert report.counts["featurised"] == 48
    assert report.counts["rejected"] == len(bad)
    rejected = {os.path.basename(row["path"]): row for row in read(out / "rejected").to_pylist()}
    assert {name: (row["stage"], row["reason"]) for name, row in rejected.items()} == bad
    assert rejected["text.png"]["size"] == (photos / "text.png").stat().st_size
    assert rejected["gone.jpg"]["size"] is None
    assert json.loads((out / "run.json").read_text())["counts"] == report.counts
    assert report.rejections == {f"{stage}/{reason}": 1 for stage, reason in bad.values()}


def test_tables_equal_the_plain_local_computation(engine, photos, weights, tmp_path):
    out = tmp_path / "out"
    report = run(photos, out, weights, engine=engine, components=5, chunk=10)

    features = read(out / "features")
    assert features.schema.equals(schema.FEATURES)
    paths = sorted(str(path) for path in photos.rglob("*.jpg"))
    assert features["path"].to_pylist() == paths
    assert features["label"].to_pylist() == [path.split("/")[-2] for path in paths]
    network = extractor(backbone.load(weights))
    local = list(featurise(paths, network, Limits(), 4))
    assert features["image_id"].to_pylist() == [outcome.image_id for outcome in local]
    matrix = schema.matrix(features["features"])
    assert np.abs(matrix - np.stack([outcome.features for outcome in local])).max() < 1e-5

    components = read(out / "pca")
    assert components.schema.equals(schema.PCA)
    assert components["path"].to_pylist() == paths
    reference = decomposition.PCA(5, svd_solver="full").fit(matrix.astype(np.float64))
    found = schema.matrix(components["pca"], "pca")
    expected = reference.transform(matrix.astype(np.float64))
    assert np.abs(np.abs(found) - np.abs(expected)).max() < 1e-4
    assert report.pca["components"] == 5
    assert report.pca["explained_variance"] == pytest.approx(
        reference.explained_variance_ratio_.sum(), abs=1e-5
    )


def test_bundle_gives_what_the_tables_hold(photos, weights, tmp_path):
    import onnxruntime

    from verger import images

    out = tmp_path / "out"
    run(photos, out, weights, components=4)
    row = read(out / "pca").slice(7, 1).to_pylist()[0]
    with open(row["path"], "rb") as file:
        pixels = images.load_input(file.read(), 224)[0]
    session = onnxruntime.InferenceSession(out / "model" / "model.onnx")
    components = session.run(["components"], {"pixels": pixels[None]})[0][0]
    assert np.abs(components - row["pca"]).max() < 1e-4


def test_both_engines_make_equal_tables(spark_session, photos, weights, tmp_path):
    add_bad_files(photos)
    for engine in ("embedded", "spark"):
        run(photos, tmp_path / engine, weights, engine=engine, max_rejected=0.5, chunk=7)
    same_rows(read(tmp_path / "embedded" / "features"), read(tmp_path / "spark" / "features"))
    same_rows(read(tmp_path / "embedded" / "pca"), read(tmp_path / "spark" / "pca"), "pca")
    assert read(tmp_path / "embedded" / "rejected") == read(tmp_path / "spark" / "rejected")


def test_a_borrowed_session_is_left_running(spark_session, photos, weights, tmp_path):
    settings = Settings.resolve(
        photos, tmp_path / "out", environ={}, weights=str(weights), components=2
    )
    report = pipeline.run(settings, session=spark_session)
    assert report.versions["engine"].startswith("Apache Spark")
    assert spark_session.range(3).count() == 3


def test_only_new_photos_are_computed(engine, photos, weights, tmp_path):
    out = tmp_path / "out"
    later = sorted(photos.iterdir())[0]
    shutil.move(later, tmp_path / "later")
    first = run(photos, out, weights, engine=engine)
    written = {file: file.stat().st_mtime_ns for file in (out / "features").iterdir()}
    shutil.move(tmp_path / "later", later)
    second = run(photos, out, weights, engine=engine)

    assert first.counts["featurised"] + second.counts["featurised"] == 48
    assert second.counts["reused"] == first.counts["featurised"]
    assert {file: file.stat().st_mtime_ns for file in written} == written
    run(photos, tmp_path / "whole", weights)
    same_rows(read(out / "features"), read(tmp_path / "whole" / "features"))
    same_rows(read(out / "pca"), read(tmp_path / "whole" / "pca"), "pca")


def test_a_changed_photo_replaces_its_row(photos, weights, tmp_path):
    out = tmp_path / "out"
    paths = sorted(photos.rglob("*.jpg"))
    run(photos, out, weights, chunk=10)
    shutil.copy(paths[20], paths[0])
    os.utime(paths[0], (1, 1))
    report = run(photos, out, weights, chunk=10)

    assert (report.counts["changed"], report.counts["featurised"]) == (1, 1)
    rows = read(out / "features")
    assert rows.num_rows == 48
    ids = rows["image_id"].to_pylist()
    assert ids[0] == ids[20]
    assert run(photos, out, weights, chunk=10).counts["reused"] == 48


def test_rows_of_removed_photos_are_kept_until_pruned(photos, weights, tmp_path):
    out = tmp_path / "out"
    run(photos, out, weights, chunk=10)
    gone = sorted(photos.rglob("*.jpg"))[3:6]
    for path in gone:
        path.unlink()
    kept = run(photos, out, weights)
    assert kept.counts["removed"] == 3
    assert read(out / "features").num_rows == 48

    pruned = run(photos, out, weights, prune=True)
    assert pruned.counts["featurised"] == 0
    left = read(out / "features")["path"].to_pylist()
    assert len(left) == 45
    assert not set(left) & set(map(str, gone))
    assert read(out / "pca")["path"].to_pylist() == left
    assert run(photos, out, weights).counts["removed"] == 0


def test_what_could_not_be_read_is_tried_again(photos, weights, tmp_path):
    out = tmp_path / "out"
    (photos / "late.jpg").symlink_to(tmp_path / "late.jpg")
    (photos / "broken.jpg").write_text("never a photo")
    run(photos, out, weights)
    assert read(out / "rejected").num_rows == 2
    shutil.copy(next(photos.glob("*/*.jpg")), tmp_path / "late.jpg")
    report = run(photos, out, weights)
    assert report.counts["featurised"] == 1
    assert [row["reason"] for row in read(out / "rejected").to_pylist()] == ["not_an_image"]
    assert read(out / "features").num_rows == 49


def test_other_settings_are_refused_and_shown(photos, weights, tmp_path):
    out = tmp_path / "out"
    run(photos, out, weights)
    before = read(out / "features")
    with pytest.raises(OutputError, match=r"layout: 'parent' then, 'none' now"):
        run(photos, out, weights, layout="none")
    assert read(out / "features").equals(before)
    report = run(photos, out, weights, layout="none", fresh=True)
    assert report.counts["featurised"] == 48
    assert read(out / "features")["label"].null_count == 48


def test_a_folder_of_others_is_never_touched(photos, weights, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(OutputError, match="not from Verger"):
            run(photos, out, weights, fresh=fresh)
    assert (out / "thesis.txt").read_text() == "years of work"
    assert len(list(out.iterdir())) == 1


def test_an_empty_collection_leaves_nothing_behind(weights, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("x")
    with pytest.raises(CollectionError, match=r"1 \.txt"):
        run(tmp_path / "photos", tmp_path / "out", weights)
    assert not (tmp_path / "out").exists()


def test_a_layout_that_matches_nothing_shows_real_paths(photos, weights, tmp_path):
    with pytest.raises(
        LayoutError, match=r"'\{a\}/\{b\}/\{label\}/\{file\}' matches none"
    ) as error:
        run(photos, tmp_path / "out", weights, layout="{a}/{b}/{label}/{file}")
    assert str(error.value).count(".jpg") == 3


def test_too_many_rejected_fail_but_keep_what_is_done(photos, weights, tmp_path):
    out = tmp_path / "out"
    add_bad_files(photos)
    with pytest.raises(TooManyRejected, match=r"5 of 53 photos were rejected .*decode/empty"):
        run(photos, out, weights)
    assert read(out / "features").num_rows == 48
    assert json.loads((out / "run.json").read_text())["status"] == "too many rejected"
    report = run(photos, out, weights, max_rejected="10%")
    assert report.counts["featurised"] == 0
    assert report.tables == {"features": 48, "rejected": 5, "pca": 48}


def test_components_of_another_run_are_used(photos, weights, tmp_path):
    run(photos, tmp_path / "one", weights, components=3)
    some = tmp_path / "some"
    shutil.copytree(sorted(photos.iterdir())[0], some / "kind")
    report = run(some, tmp_path / "two", weights, pca_from=str(tmp_path / "one"))
    assert report.pca["components"] == 3
    whole = {row["image_id"]: row["pca"] for row in read(tmp_path / "one" / "pca").to_pylist()}
    for row in read(tmp_path / "two" / "pca").to_pylist():
        assert np.allclose(row["pca"], whole[row["image_id"]], atol=1e-5)
    one, two = (bundle.load(tmp_path / name).pca for name in ("one", "two"))
    assert np.array_equal(one.components, two.components)
    with pytest.raises(BundleError, match="no bundle"):
        run(some, tmp_path / "three", weights, pca_from=str(tmp_path / "nothing"))


def test_impossible_components_are_told_early(photos, weights, tmp_path):
    with pytest.raises(SettingsError, match="the backbone has 1280"):
        run(photos, tmp_path / "out", weights, components=2000)
    with pytest.raises(SettingsError, match="only 48 photos"):
        run(photos, tmp_path / "out", weights, components=200)
    single = tmp_path / "single"
    single.mkdir()
    shutil.copy(next(photos.rglob("*.jpg")), single)
    with pytest.raises(StatisticsError, match="at least 2 rows, found 1"):
        run(single, tmp_path / "out", weights)


def test_a_manifest_and_a_folder_give_equal_features(photos, weights, tmp_path):
    run(photos, tmp_path / "folder", weights)
    paths = sorted(photos.rglob("*.jpg"))
    lines = [f"{path.relative_to(photos)},fruit,test" for path in paths]
    (photos / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    run(photos / "list.csv", tmp_path / "manifest", weights)
    one, other = (read(tmp_path / name / "features") for name in ("folder", "manifest"))
    assert set(other["label"].to_pylist()) == {"fruit"}
    assert set(other["split"].to_pylist()) == {"test"}
    columns = ["image_id", "path", "width", "height", "features"]
    same_rows(one.select(columns), other.select(columns))


def test_odd_names_survive_the_whole_way(engine, photos, weights, tmp_path):
    source = next(photos.rglob("*.jpg")).read_bytes()
    names = [b"caf\xe9.jpg", "crème brûlée 🍒.jpg".encode(), b"a\nb\tc.jpg", b"\\x41.jpg"]
    names.append(b"n" * 251 + b".jpg")
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in names:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(source)
    # Equal photos have no variance: project them onto the components of others.
    run(photos, tmp_path / "base", weights, components=2)
    report = run(folder, tmp_path / "out", weights, engine=engine, pca_from=str(tmp_path / "base"))
    assert report.counts["featurised"] == len(names)
    assert run(
        folder, tmp_path / "out", weights, engine=engine, pca_from=str(tmp_path / "base")
    ).counts["reused"] == len(names)


def test_chunks_are_files_of_their_own(photos, weights, tmp_path):
    run(photos, tmp_path / "out", weights, chunk=20)
    files = sorted((tmp_path / "out" / "features").iterdir())
    assert [pq.read_metadata(file).num_rows for file in files] == [20, 20, 8]


@pytest.mark.parametrize(
    ("photos_count", "slots", "chunk"),
    [(10, 2, 64), (8191, 2, 256), (100_000, 2, 3125), (10**8, 4, 8192)],
)
def test_automatic_chunk(photos_count, slots, chunk):
    assert pipeline.choose_chunk(photos_count, slots) == chunk


def test_threads_get_smaller_chunks():
    assert pipeline.choose_chunk(8191, 2, in_process=True) == 86
