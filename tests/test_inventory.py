"""Inventory: every photo of a folder or manifest once, with its labels; nothing vanishes."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verger import inventory, schema, storage
from verger.errors import CollectionError, LayoutError, UsageError
from verger.inventory import Collection, open_collection
from verger.settings import PHOTO_EXTENSIONS, Settings


def collection(photos: Path | str, out: Path | str = "/nowhere/out", **options: Any) -> Collection:
    return open_collection(Settings.resolve(photos, out, environ={}, **options))


def rows(found: Collection) -> list[dict[str, Any]]:
    return [row for batch in found.batches() for row in batch.to_pylist()]


def listed(photos: Path, **options: Any) -> list[tuple[str, str | None, str | None]]:
    """Path below the collection's folder, label and split of every row."""
    folder = photos.parent if photos.is_file() else photos
    return [
        (os.path.relpath(row["path"], folder), row["label"], row["split"])
        for row in rows(collection(photos, **options))
    ]


def refusal(photos: Path, **options: Any) -> str:
    with pytest.raises((CollectionError, LayoutError)) as caught:
        rows(collection(photos, **options))
    return str(caught.value)


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


# -------------------------------------------------------------------------------------- folders


def test_rows_of_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "Apple/1.jpg", "Pear/2.PNG", "3.webp")
    os.utime(tmp_path / "3.webp", ns=(0, 1_600_000_000_123_456_789))
    found = collection(tmp_path)
    batches = list(found.batches())
    assert [batch.schema for batch in batches] == [schema.INVENTORY]
    first = batches[0].to_pylist()[0]
    assert first == {
        "path": str(tmp_path / "3.webp"),
        "size": 6,
        "modified": datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC),
        "label": None,
        "split": None,
    }
    assert [row["label"] for row in batches[0].to_pylist()] == [None, "Apple", "Pear"]
    assert (found.listed, found.unmatched, dict(found.ignored)) == (3, 0, {})


def test_times_before_1970_are_rounded_down(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(0, -1))
    [row] = rows(collection(tmp_path))
    assert row["modified"] == datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def test_batches_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"{number}.jpg" for number in range(7)))
    monkeypatch.setattr(inventory, "ROWS_PER_BATCH", 3)
    found = collection(tmp_path)
    assert [batch.num_rows for batch in found.batches()] == [3, 3, 1]
    assert found.listed == 7
    make(tmp_path, "7.jpg", "8.jpg")
    assert [batch.num_rows for batch in collection(tmp_path).batches()] == [3, 3, 3]


def test_counts_grow_with_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"{number}.jpg" for number in range(6)))
    monkeypatch.setattr(inventory, "ROWS_PER_BATCH", 2)
    found = collection(tmp_path)
    assert [found.listed for _ in found.batches()] == [2, 4, 6]


def test_all_usual_extensions_in_either_case(tmp_path: Path) -> None:
    names = [f"lower.{e}" for e in PHOTO_EXTENSIONS] + [
        f"upper.{e.upper()}" for e in PHOTO_EXTENSIONS
    ]
    make(tmp_path, *names, "notes.txt", "LICENSE", "a.jpg.part", "b.jpg.", "c.PDF")
    found = collection(tmp_path)
    assert len(rows(found)) == len(names)
    assert found.ignored == {"txt": 1, "part": 1, "pdf": 1, "": 2}


def test_chosen_extensions(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "b.PNG", "c.dat", "d")
    assert [row[0] for row in listed(tmp_path, extensions="png,.DAT")] == ["b.PNG", "c.dat"]
    assert [row[0] for row in listed(tmp_path, extensions="all")] == [
        "a.jpg",
        "b.PNG",
        "c.dat",
        "d",
    ]


def test_hidden_files_are_not_photos(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "._a.jpg", ".thumbs/b.jpg")
    found = collection(tmp_path, extensions="all")
    assert len(rows(found)) == 1
    assert not found.ignored


def test_out_inside_photos_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "out/b.jpg", "x/out/c.jpg")
    found = collection(tmp_path, tmp_path / "x" / ".." / "out")
    assert [Path(row["path"]).name for row in rows(found)] == ["a.jpg", "c.jpg"]


def test_photos_inside_out_are_taken(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg")
    assert len(rows(collection(tmp_path / "photos", tmp_path))) == 1


def test_out_cannot_be_photos(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg")
    (tmp_path / "link").symlink_to("photos")
    for out in (tmp_path / "photos", tmp_path / "link"):
        with pytest.raises(UsageError, match="is PHOTOS itself: expected a folder of its own"):
            collection(tmp_path / "photos", out)


def test_relative_and_uri_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "my photos/a.jpg")
    monkeypatch.chdir(tmp_path)
    for photos in ("my photos", "./my photos/", f"file://{tmp_path}/my%20photos"):
        assert [row["path"] for row in rows(collection(photos))] == [f"{tmp_path}/my photos/a.jpg"]


def test_odd_names_reach_the_reader(tmp_path: Path) -> None:
    names = [b"caf\xe9/1.jpg", b"\\xe9/2.jpg", b"new\nline/3.jpg", "é/4.jpg".encode()]
    for name in names:
        path = tmp_path / os.fsdecode(name)
        path.parent.mkdir()
        path.write_bytes(name)
    found = rows(collection(tmp_path))
    assert sorted(storage.read_photo(row["path"], 99) for row in found) == sorted(names)
    assert {row["label"] for row in found} == {"caf\\xe9", "\\x5cxe9", "new\nline", "é"}


def test_broken_links_and_special_files_are_listed(tmp_path: Path) -> None:
    """Reading rejects them with the reason; here they must not vanish."""
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = rows(collection(tmp_path))
    assert [(Path(row["path"]).name, row["size"]) for row in found] == [
        ("gone.jpg", None),
        ("pipe.jpg", 0),
    ]
    assert found[0]["modified"] is None


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    """One beyond the longest path, which stops root as well; its name has no extension."""
    make(tmp_path, "Apple/a.jpg")
    here = os.getcwd()
    os.chdir(tmp_path)
    for _ in range(20):
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
    os.chdir(here)
    found = collection(tmp_path, layout="{label}/{file}")
    photo, folder = rows(found)
    assert photo["label"] == "Apple"
    assert folder["path"].endswith("d" * 250)
    assert (folder["size"], folder["label"]) == (None, None)
    assert (found.listed, found.unmatched, dict(found.ignored)) == (2, 0, {})
    with pytest.raises(storage.ImageError, match="unreadable"):
        storage.read_photo(folder["path"], 10)


def test_ignored_kinds_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "MOST_KINDS", 3)
    make(tmp_path, "a.jpg", *(f"scan.{number:03}" for number in range(9)), "again.000")
    found = collection(tmp_path)
    rows(found)
    assert found.ignored == {"000": 2, "001": 1, "002": 1, inventory.OTHER_KINDS: 6}


def test_memory_does_not_grow_with_the_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "ROWS_PER_BATCH", 50)

    def peak(folders: int) -> int:
        root = tmp_path / str(folders)
        make(root, *(f"{f:03}/{n:03}.jpg" for f in range(folders) for n in range(50)))
        found = collection(root)
        tracemalloc.start()
        for _ in found.batches():
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.listed == folders * 50
        return highest

    peak(1)  # what is loaded or cached at first use
    assert peak(40) < 1.5 * peak(4)


# -------------------------------------------------------------------------------------- layouts


def test_labels_and_splits_of_a_template(tmp_path: Path) -> None:
    make(tmp_path, "Training/Apple/1.jpg", "Test/Apple/1.jpg", "Test/Pear/2.jpg")
    assert listed(tmp_path, layout="{split}/{label}/{file}") == [
        ("Test/Apple/1.jpg", "Apple", "Test"),
        ("Test/Pear/2.jpg", "Pear", "Test"),
        ("Training/Apple/1.jpg", "Apple", "Training"),
    ]


def test_partial_matches_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "Apple/1.jpg", *(f"loose{number}.jpg" for number in range(5)))
    found = collection(tmp_path, layout="{label}/{file}")
    assert [row["label"] for row in rows(found)] == ["Apple", *[None] * 5]
    assert (found.listed, found.unmatched) == (6, 5)
    assert found.examples == ["loose0.jpg", "loose1.jpg", "loose2.jpg"]


def test_a_layout_that_matches_nothing_shows_itself_and_real_paths(tmp_path: Path) -> None:
    make(tmp_path, *(f"Apple/{number}\x1b.jpg" for number in range(5)), "notes.txt")
    message = refusal(tmp_path, layout="{split}/{label}/{file}")
    assert message.startswith(
        f"layout '{{split}}/{{label}}/{{file}}' matches none of the 5 photos in {tmp_path}"
    )
    assert [line.strip() for line in message.splitlines()[1:]] == [
        f"Apple/{number}\\x1b.jpg" for number in range(3)
    ]


def test_a_malformed_layout_is_refused_before_listing(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    with pytest.raises(LayoutError, match=r"layout '\{a\}' has no \{label\}"):
        collection(tmp_path, layout="{a}")


# --------------------------------------------------------------------------------- no photos


def test_an_empty_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert message.startswith(f"no photos in {tmp_path}: looked for avif, bmp, ")
    assert message.endswith(", webp")


def test_a_folder_of_other_files(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b/c.TXT", "d.pdf", "e", "f.a\x1b[2J")
    message = refusal(tmp_path, extensions="jpg,png")
    assert f"no photos in {tmp_path}: looked for jpg, png at any depth; found other" in message
    assert "2 .txt" in message
    assert "1 .pdf" in message
    assert "1 without extension" in message
    assert "--extensions widens the search" in message
    assert "\x1b" not in message
    assert "\\x1b[2j" in message


def test_only_five_kinds_of_other_files_are_named(tmp_path: Path) -> None:
    make(tmp_path, *(f"a.x{number}" for number in range(9)))
    assert refusal(tmp_path).count("1 .x") == 5


@pytest.mark.parametrize("name", ["gone", "gone/deeper", "file.csv/inside", "a\0b"])
def test_photos_that_are_not_there(tmp_path: Path, name: str) -> None:
    make(tmp_path, "file.csv")
    with pytest.raises(CollectionError, match="PHOTOS "):
        collection(f"{tmp_path}/{name}")


def test_photos_that_loop(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CollectionError, match=r"cannot be read: .*symbolic links"):
        collection(tmp_path / "loop")


@pytest.mark.parametrize("name", ["photo.jpg", "archive.zip", "noextension"])
def test_photos_that_are_one_file(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    with pytest.raises(CollectionError) as caught:
        collection(tmp_path / name)
    text = str(caught.value)
    assert text.startswith(f"PHOTOS {tmp_path}/{name} is a file: expected a folder of photos")
    assert "*.csv, *.parquet, *.pq with a path column" in text


@pytest.mark.parametrize("place", ["s3://bucket/photos", "file://photos"])
def test_photos_elsewhere(place: str) -> None:
    with pytest.raises(UsageError, match=f"PHOTOS '{place}'"):
        collection(place)


# ------------------------------------------------------------------------------------ manifests


def write_csv(folder: Path, text: str | bytes, name: str = "manifest.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_parquet(folder: Path, columns: dict[str, Any], name: str = "m.parquet") -> Path:
    with open(folder / name, "wb") as file:  # Arrow opens no path that is not UTF-8
        pq.write_table(pa.table(columns), file)
    return folder / name


Writer = Callable[[Path, dict[str, list[str | None]]], Path]


def as_csv(folder: Path, columns: dict[str, list[str | None]]) -> Path:
    lines = [",".join(columns)]
    for values in zip(*columns.values(), strict=True):
        lines.append(
            ",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in values)
        )
    return write_csv(folder, "\n".join(lines) + "\n")


@pytest.fixture(params=[as_csv, write_parquet], ids=["csv", "parquet"])
def write(request: pytest.FixtureRequest) -> Writer:
    """Both kinds of manifest must say the same."""
    writer: Writer = request.param
    return writer


def test_paths_relative_absolute_and_uri(tmp_path: Path, write: Writer) -> None:
    make(tmp_path, "in/a.jpg", "b c.jpg", "é.jpg")
    other = make(tmp_path / "other", "d.jpg") / "d.jpg"
    paths = ["in/a.jpg", "./in/../b c.jpg", str(other), f"file://{tmp_path}/%C3%A9.jpg"]
    manifest = write(tmp_path, {"path": paths})
    found = rows(collection(manifest))
    names = ["in/a.jpg", "b c.jpg", "other/d.jpg", "é.jpg"]
    assert [row["path"] for row in found] == [f"{tmp_path}/{name}" for name in names]
    assert [row["size"] for row in found] == [8, 7, 5, 6]
    assert [row["label"] for row in found] == ["in", None, "other", None]


def test_label_and_split_columns(tmp_path: Path, write: Writer) -> None:
    manifest = write(
        tmp_path,
        {
            "path": ["x/1.jpg", "x/2.jpg", "x/3.jpg"],
            "split": ["train", None, "test"],
            "note": ["a", "b", "c"],
            "label": ['Äpfel, "rot"\nneu', None, "NA"],
        },
    )
    assert listed(manifest) == [
        ("x/1.jpg", 'Äpfel, "rot"\nneu', "train"),
        ("x/2.jpg", None, None),
        ("x/3.jpg", "NA", "test"),
    ]


def test_labels_of_manifests_are_in_normal_form_c_too(tmp_path: Path, write: Writer) -> None:
    manifest = write(tmp_path, {"path": ["1.jpg"], "label": ["A\u0308pfel"], "split": ["e\u0301"]})
    assert listed(manifest) == [("1.jpg", "Äpfel", "é")]


def test_a_layout_gives_what_the_columns_do_not(tmp_path: Path, write: Writer) -> None:
    manifest = write(tmp_path, {"path": ["test/Apple/1.jpg", "2.jpg"], "label": ["A", "B"]})
    found = collection(manifest, layout="{split}/{label}/{file}")
    assert [(row["label"], row["split"]) for row in rows(found)] == [("A", "test"), ("B", None)]
    assert found.unmatched == 0


def test_a_layout_that_fits_no_row_is_refused(tmp_path: Path, write: Writer) -> None:
    manifest = write(tmp_path, {"path": ["1.jpg", "/x/y/2.jpg"]})
    message = refusal(manifest, layout="{a}/{b}/{c}/{label}/*")
    assert "matches none of the 2 photos" in message
    assert [line.strip() for line in message.splitlines()[1:]] == ["1.jpg", "x/y/2.jpg"]


def test_files_that_are_not_there_are_listed(tmp_path: Path, write: Writer) -> None:
    [row] = rows(collection(write(tmp_path, {"path": ["gone.jpg"]})))
    assert (row["size"], row["modified"]) == (None, None)


def test_manifests_need_no_extension_of_a_photo(tmp_path: Path, write: Writer) -> None:
    """Who names a file means it."""
    make(tmp_path, "a.dat")
    assert listed(write(tmp_path, {"path": ["a.dat"]})) == [("a.dat", None, None)]


def test_a_missing_path_column(tmp_path: Path, write: Writer) -> None:
    names = ["file", "label", "c", "d", "e", "f"]
    message = refusal(write(tmp_path, {name: ["x"] for name in names}))
    assert message.endswith("has no column 'path', only 'file', 'label', 'c', 'd', 'e'")


def test_an_empty_path(tmp_path: Path, write: Writer) -> None:
    manifest = write(tmp_path, {"path": ["a.jpg", None], "label": ["x", "y"]})
    assert refusal(manifest).endswith("data row 2 has no path")
    manifest = write(tmp_path, {"path": ["a.jpg", "b.jpg", ""], "label": ["x", "y", "z"]})
    assert refusal(manifest).endswith("data row 3 has no path")


def test_no_rows(tmp_path: Path, write: Writer) -> None:
    manifest = write(tmp_path, {"path": [], "label": []})
    if manifest.suffix == ".parquet":
        empty = pa.schema([("path", pa.string()), ("label", pa.null())]).empty_table()
        pq.write_table(empty, manifest)
    assert refusal(manifest) == f"manifest {manifest} has no rows: expected one a photo"


def test_paths_named_twice(tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "ROWS_PER_BATCH", 2)
    paths = ["a.jpg", "b.jpg", "./a.jpg", "c.jpg", f"{tmp_path}/b.jpg", f"file://{tmp_path}/a.jpg"]
    message = refusal(write(tmp_path, {"path": paths}))
    assert "names paths again in 3 of its rows" in message
    assert "(data rows 1 and 3, 2 and 5, 3 and 6)" in message


def test_at_most_five_repetitions_are_named(tmp_path: Path, write: Writer) -> None:
    paths = [f"{number}.jpg" for number in range(20)]
    message = refusal(write(tmp_path, {"path": paths * 2}))
    assert (
        "in 20 of its rows (data rows 1 and 21, 2 and 22, 3 and 23, 4 and 24, 5 and 25)" in message
    )


@pytest.mark.parametrize("path", ["s3://bucket/a.jpg", "gs://b/a", "file://photos/a.jpg"])
def test_paths_elsewhere(tmp_path: Path, write: Writer, path: str) -> None:
    message = refusal(write(tmp_path, {"path": ["a.jpg", path]}))
    assert f"data row 2: path {path!r}: expected a local path" in message


def test_names_of_a_run_can_be_its_next_manifest(tmp_path: Path, write: Writer) -> None:
    """What an inventory writes for names that are not UTF-8 is read back as those names."""
    photos = tmp_path / os.fsdecode(b"p\xff")
    photos.mkdir()
    for name in (b"caf\xe9.jpg", b"\\x41.jpg", b"plain.jpg"):
        (photos / os.fsdecode(name)).write_bytes(name)
    first = rows(collection(photos))
    manifest = write(tmp_path, {"path": [row["path"] for row in first]})
    again = rows(collection(manifest, layout="none"))
    assert [(r["path"], r["size"], r["modified"]) for r in again] == [
        (r["path"], r["size"], r["modified"]) for r in first
    ]


def test_a_manifest_in_a_folder_that_is_not_utf8(tmp_path: Path, write: Writer) -> None:
    folder = tmp_path / os.fsdecode(b"p\xff\\x41")
    make(folder, "a.jpg")
    uri = "file://" + str(tmp_path) + "/p%FF%5Cx41/b.jpg"
    (folder / "b.jpg").write_bytes(b"second")
    found = rows(collection(write(folder, {"path": ["a.jpg", uri]}), layout="none"))
    assert [storage.read_photo(row["path"], 99) for row in found] == [b"a.jpg", b"second"]


def test_many_rows_come_in_bounded_batches(
    tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "ROWS_PER_BATCH", 100)
    manifest = write(tmp_path, {"path": [f"{number}.jpg" for number in range(1050)]})
    found = collection(manifest)
    assert [batch.num_rows for batch in found.batches()] == [100] * 10 + [50]
    assert found.listed == 1050


# --- only CSV


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpath,label\na.jpg,x\n",
        "path,label\r\na.jpg,x\r\n",
        "path,label\na.jpg,x",
        '"path","label"\n"a.jpg","x"\n',
        "\npath,label\n\na.jpg,x\n\n",
        "label,other,path\nx,,a.jpg\n",
    ],
    ids=["byte order mark", "CRLF", "no last newline", "quoted", "blank lines", "other order"],
)
def test_csv_as_programs_write_it(tmp_path: Path, text: str) -> None:
    assert listed(write_csv(tmp_path, text)) == [("a.jpg", "x", None)]


def test_csv_labels_stay_text(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path, "path,label,split\n1.jpg,007,true\n2.jpg,1e3,null\n")
    assert listed(manifest) == [("1.jpg", "007", "true"), ("2.jpg", "1e3", "null")]


def test_csv_columns_that_nobody_asked_for_do_no_harm(tmp_path: Path) -> None:
    """A column of numbers for a megabyte, then a word: guessing its type would fail."""
    lines = [f"{number}.jpg,{number},{'x' * 90}" for number in range(12_000)]
    text = "path,note,more\n" + "\n".join(lines) + "\nlast.jpg,a word,x\n"
    assert len(text) > 1 << 20
    assert len(listed(write_csv(tmp_path, text))) == 12_001


def test_csv_other_columns_may_be_of_another_encoding(tmp_path: Path) -> None:
    manifest = write_csv(tmp_path, "path,note\na.jpg,Größe\n".encode("latin-1"))
    assert listed(manifest) == [("a.jpg", None, None)]


def test_csv_newlines_in_names_across_blocks(tmp_path: Path) -> None:
    lines = [f'"{number}{"x" * 60}\n\n.jpg",{number}' for number in range(20_000)]
    text = "path,label\n" + "\n".join(lines) + "\n"
    assert len(text) > 1 << 20
    found = rows(collection(write_csv(tmp_path, text)))
    assert [row["label"] for row in found] == [str(number) for number in range(20_000)]


@pytest.mark.parametrize(
    "content",
    [
        "path,label\na.jpg,Größe\n".encode("latin-1"),
        "path,Größe\na.jpg,x\n".encode("latin-1"),
        "path,label\na.jpg,x\n".encode("utf-16"),
        b"",
        b"\n\n",
        b"path,label\na.jpg,x\nb.jpg,y,z\n",
        b'path,label\n"a.jpg,x\n',
        b"\x1b[2J\nx,y\n",
    ],
    ids=["latin-1", "header", "utf-16", "empty", "newlines", "ragged", "open quote", "escapes"],
)
def test_csv_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    manifest = write_csv(tmp_path, content)
    message = refusal(manifest)
    assert message.startswith(f"manifest {manifest} cannot be read: ")
    assert message.endswith("expected CSV in UTF-8 with a line of column names")
    assert message.isprintable()


@pytest.mark.parametrize("column", ["path", "label"])
def test_csv_columns_twice(tmp_path: Path, column: str) -> None:
    manifest = write_csv(tmp_path, f"path,label,{column}\na.jpg,x,b\n")
    assert refusal(manifest).endswith(f"has column {column!r} more than once")


def test_csv_with_semicolons_shows_what_was_found(tmp_path: Path) -> None:
    assert "only 'path;label'" in refusal(write_csv(tmp_path, "path;label\na.jpg;x\n"))


def test_manifest_extensions_in_either_case(tmp_path: Path) -> None:
    assert len(listed(write_csv(tmp_path, "path\na.jpg\n", "M.CSV"))) == 1
    assert len(listed(write_parquet(tmp_path, {"path": ["a.jpg"]}, "m.PQ"))) == 1


# --- only Parquet


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array([7, None], pa.int32()), ["7", None]),
        (pa.array([2**63, 0], pa.uint64()), [str(2**63), "0"]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array([b"x", "é".encode()], pa.binary()), ["x", "é"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
    ids=["int32", "uint64", "dictionary", "large", "binary", "bool", "null"],
)
def test_parquet_labels_of_other_types(
    tmp_path: Path, labels: pa.Array, expected: list[str | None]
) -> None:
    manifest = write_parquet(tmp_path, {"path": ["a.jpg", "b.jpg"], "label": labels})
    assert [row[1] for row in listed(manifest)] == expected


@pytest.mark.parametrize(
    "paths",
    [
        pa.array([["a.jpg"]]),
        pa.array([{"bytes": "a"}]),
        pa.array([b"\xff.jpg"], pa.binary()),
    ],
    ids=["list", "struct", "not UTF-8"],
)
def test_parquet_paths_of_other_types_are_refused(tmp_path: Path, paths: pa.Array) -> None:
    message = refusal(write_parquet(tmp_path, {"path": paths}))
    assert "cannot be read: " in message
    assert message.endswith("; expected Parquet with text in its columns path, label and split")


def test_parquet_other_columns_are_not_read(tmp_path: Path) -> None:
    features = pa.array([[1.0] * 3])
    manifest = write_parquet(tmp_path, {"features": features, "path": ["a.jpg"]})
    assert listed(manifest) == [("a.jpg", None, None)]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table" * 9])
def test_parquet_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    assert refusal(path).startswith(f"manifest {path} cannot be read: ")


def test_parquet_that_is_cut(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, {"path": [f"{number}.jpg" for number in range(999)]})
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    assert refusal(path).startswith(f"manifest {path} cannot be read: ")
