"""Storage: names of any bytes, folders of any shape, files that are none, writes that are whole."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from verger import paths, storage
from verger.errors import ImageError, UsageError

NOBODY = 65534


def relatives(root: Path, skip: Path | None = None) -> list[str]:
    return [entry.relative for entry in storage.walk(root, skip=skip)]


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def dig(tmp_path: Path) -> Iterator[Callable[[str, int], None]]:
    """Makes a chain of folders below tmp_path, step by step as no call takes so long a path.

    The chain goes with the test, whole or half made: pytest's own cleaning of temporary folders
    is shutil.rmtree, which is recursive and fails on it; rm is not.
    """
    dug: list[Path] = []
    here = Path.cwd()

    def dig(name: str, levels: int) -> None:
        dug.append(tmp_path / name)
        os.chdir(tmp_path)
        try:
            for _ in range(levels):
                Path(name).mkdir()
                os.chdir(name)
            Path("photo.jpg").write_bytes(b"x")
        finally:
            os.chdir(here)

    yield dig
    subprocess.run(["rm", "-rf", "--", *dug], check=True, timeout=60)
    assert not any(map(os.path.lexists, dug))


# ---------------------------------------------------------------------------------- path text

PIECES = st.sampled_from([b"\\", b"x", b"\\x", b"5c", b"\\x5c", b"ff", b"\xff", b"\xc3", b"\xa9"])
RAW = st.one_of(
    st.binary(),
    st.lists(PIECES, max_size=12).map(b"".join),
    st.text(st.characters(exclude_categories=["Cs"])).map(str.encode),
).map(lambda raw: raw.replace(b"\0", b""))


@effort(deadline=None, database=None, max_examples=300)
@given(RAW)
@example(b"\\x41")
@example(b"\\x5cx41\xff")
@example(b"\\x4\xff1")
@example(b"\\\\x\xff\\xff")
def test_every_name_survives_as_text(raw: bytes) -> None:
    text = paths.to_text(raw)
    assert paths.to_os(text) == raw
    text.encode()  # what Arrow and Parquet need


@effort(deadline=None, database=None, max_examples=300)
@given(RAW, RAW)
def test_different_names_are_different_texts(one: bytes, other: bytes) -> None:
    assert (paths.to_text(one) == paths.to_text(other)) == (one == other)


@effort(deadline=None, database=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "\\x" not in text))
def test_ordinary_names_stay_as_they_are(text: str) -> None:
    assert paths.to_text(text.encode()) == text


def test_bytes_are_escaped_as_documented() -> None:
    assert paths.to_text(b"caf\xe9.jpg") == "caf\\xe9.jpg"
    assert paths.to_text(b"a\\x41") == "a\\x5cx41"
    assert paths.to_text(b"a\\X41\\d") == "a\\X41\\d"


def test_printable_escapes_what_a_terminal_would_obey() -> None:
    hostile = "a\x1b[31mred\x07\r\n\t\x00\x9b2J\u202egpj.exe\ud800"
    shown = paths.printable(hostile)
    assert shown.isprintable()
    assert shown == "a\\x1b[31mred\\x07\\r\\n\\t\\x00\\x9b2J\\u202egpj.exe\\ud800"
    assert paths.printable("Pommes d'été/1 ☃.jpg") == "Pommes d'été/1 ☃.jpg"


# ---------------------------------------------------------------------------------- local_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a/b", "/a/b"),
        ("/a/../b/", "/b"),
        ("file:///a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file://localhost/a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file:///a%20b/%C3%A9%23", "/a b/é#"),
        ("file:///a#b?c", "/a#b?c"),
        ("file:///100%", "/100%"),
    ],
)
def test_local_paths(text: str, expected: str) -> None:
    assert paths.local_path(text, "PHOTOS") == Path(expected)


def test_relative_paths_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert paths.local_path("a/./b", "OUT") == tmp_path / "a" / "b"
    assert paths.local_path("~/b", "OUT") == Path("/somewhere/b")
    assert paths.local_path("a:b", "OUT") == tmp_path / "a:b"


def test_file_uri_of_bytes_that_are_not_utf8() -> None:
    assert os.fsencode(paths.local_path("file:///a%FF", "PHOTOS")) == b"/a\xff"


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/x", "abfss://c@a/x", "gs://b", "file://host/a", "file://photos", "file://"],
)
def test_other_places_are_refused(text: str) -> None:
    """``file://photos`` too: read as a URI it names the host `photos`, not a folder."""
    with pytest.raises(UsageError) as caught:
        paths.local_path(text, "OUT")
    scheme = text.partition("://")[0]
    assert str(caught.value).startswith(f"OUT {text!r}: expected a local path")
    assert f"{scheme}:// is not supported yet" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("file:/a", True), ("s3://a", True), ("a/b", False), ("c:/a", False), ("/x://y", False)],
)
def test_is_uri(text: str, expected: bool) -> None:
    assert paths.is_uri(text) is expected


# ---------------------------------------------------------------------------------------- walk


def test_walk_in_order_of_bytes(tmp_path: Path) -> None:
    names = ["b/2.jpg", "b/10.jpg", "a.jpg", "B.jpg", "é.jpg", "z.jpg", "b.jpg", "b-.jpg", "b/a/x"]
    for name in names:
        touch(tmp_path / name)
    found = relatives(tmp_path)
    in_b = ["b/10.jpg", "b/2.jpg", "b/a/x"]
    assert found == ["B.jpg", "a.jpg", *in_b, "b-.jpg", "b.jpg", "z.jpg", "é.jpg"]


def test_walk_tells_size_and_time(tmp_path: Path) -> None:
    file = touch(tmp_path / "a.jpg", b"12345")
    os.utime(file, ns=(1, 1_234_567_890_123_456_789))
    [entry] = storage.walk(tmp_path)
    assert entry == storage.Entry(str(file), "a.jpg", 5, 1_234_567_890_123_456_789)
    assert storage.describe(str(file)) == (5, 1_234_567_890_123_456_789)
    assert storage.describe(str(file) + "x") == (None, None)
    assert storage.describe("a\0b") == (None, None)


def test_hidden_names_are_passed_over(tmp_path: Path) -> None:
    for name in (".DS_Store", "._a.jpg", ".git/a.jpg", "a/.thumbs/b.jpg", "a/b.jpg"):
        touch(tmp_path / name)
    assert relatives(tmp_path) == ["a/b.jpg"]


def test_a_hidden_root_is_walked(tmp_path: Path) -> None:
    touch(tmp_path / ".photos" / "a.jpg")
    assert relatives(tmp_path / ".photos") == ["a.jpg"]


def test_an_empty_folder_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert relatives(tmp_path) == []


def test_links_are_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    touch(elsewhere / "deep" / "a.jpg", b"1234")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file.jpg").symlink_to(elsewhere / "deep" / "a.jpg")
    (root / "folder").symlink_to(elsewhere)
    found = [(entry.relative, entry.size) for entry in storage.walk(root)]
    assert found == [("file.jpg", 4), ("folder/deep/a.jpg", 4)]


def test_a_linked_root_is_walked_under_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert [e.path for e in storage.walk(tmp_path / "link")] == [f"{tmp_path}/link/a.jpg"]


def test_loops_of_links_are_cut(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "b" / "x.jpg")
    (tmp_path / "a" / "b" / "up").symlink_to("..")
    (tmp_path / "a" / "b" / "top").symlink_to(tmp_path)
    (tmp_path / "a" / "b" / "self").symlink_to(".")
    assert relatives(tmp_path) == ["a/b/x.jpg"]


def test_two_links_to_one_folder_are_both_followed(tmp_path: Path) -> None:
    """Only a folder that encloses itself is cut; seen twice in other places it is two."""
    touch(tmp_path / "one" / "x.jpg")
    (tmp_path / "two").symlink_to("one")
    assert relatives(tmp_path) == ["one/x.jpg", "two/x.jpg"]


def test_broken_links_are_listed_without_size(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    found = list(storage.walk(tmp_path))
    assert [(e.relative, e.size, e.modified, e.unreadable_folder) for e in found] == [
        ("gone.jpg", None, None, False),
        ("loop.jpg", None, None, False),
    ]


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"\\x41.jpg", b"a\nb.jpg", b"\xff\xfe/\x80.jpg", b"x" * 255]
    for name in names:
        try:
            touch(tmp_path / os.fsdecode(name), name)
        except OSError as exc:
            pytest.skip(f"this file system takes no name {name!r}: {exc}")
    found = list(storage.walk(tmp_path))
    assert {paths.to_os(entry.relative) for entry in found} == set(names)
    for entry in found:
        assert storage.read_photo(entry.path, 1000) == paths.to_os(entry.relative)
        assert storage.describe(entry.path) == (entry.size, entry.modified)


def test_the_skipped_folder_is_not_entered(tmp_path: Path) -> None:
    for name in ("a.jpg", "out/b.jpg", "x/out/c.jpg", "output/d.jpg"):
        touch(tmp_path / name)
    (tmp_path / "x" / "link").symlink_to(tmp_path / "out")
    assert relatives(tmp_path, tmp_path / "out") == ["a.jpg", "output/d.jpg", "x/out/c.jpg"]
    assert relatives(tmp_path, tmp_path / "not there") == relatives(tmp_path)


def test_the_skipped_folder_may_be_named_by_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "photos" / "out" / "b.jpg")
    (tmp_path / "link").symlink_to("photos/out")
    assert relatives(tmp_path / "photos", tmp_path / "link") == []


def test_a_tree_deeper_than_the_recursion_limit(
    tmp_path: Path, dig: Callable[[str, int], None]
) -> None:
    levels = sys.getrecursionlimit() + 200
    assert len(str(tmp_path)) + 2 * levels < 4000, "this test needs a shorter temporary path"
    dig("d", levels)
    [entry] = storage.walk(tmp_path)
    assert entry.relative == "d/" * levels + "photo.jpg"
    assert entry.size == 1


def test_a_folder_beyond_the_longest_path_is_yielded_itself(
    tmp_path: Path, dig: Callable[[str, int], None]
) -> None:
    dig("d" * 250, 20)
    touch(tmp_path / "z.jpg")
    deepest, last = storage.walk(tmp_path)
    assert deepest.unreadable_folder
    assert deepest.size is None
    assert len(deepest.path) > 4000
    assert deepest.path.endswith("d" * 250)
    assert last.relative == "z.jpg"
    with pytest.raises(ImageError) as caught:
        storage.read_photo(deepest.path, 10)
    assert (caught.value.reason, caught.value.detail) == ("unreadable", "File name too long")


def test_a_forbidden_folder_is_yielded_itself(tmp_path: Path) -> None:
    """Read by another user than the tests run as, who may be root."""
    root = tmp_path / "root"
    touch(root / "a.jpg")
    touch(root / "closed" / "b.jpg")
    touch(root / "listed" / "c.jpg")
    touch(root / "listed" / "inner" / "d.jpg")
    script = (
        "import os, sys; from pathlib import Path; from verger import storage; root = sys.argv[1]\n"
        f"if os.getuid() == 0: os.chdir(root); os.setgroups([]); os.setgid({NOBODY}); "
        f"os.setuid({NOBODY})\n"
        "for e in storage.walk(Path('.')):\n"
        "    try: reason = str(len(storage.read_photo(e.path, 9)))\n"
        "    except storage.ImageError as exc: reason = exc.reason + ' ' + exc.detail\n"
        "    print(e.relative, e.size, e.unreadable_folder, reason, sep='|')\n"
    )
    (root / "closed").chmod(0)
    (root / "listed").chmod(0o444)
    root.chmod(0o755)
    try:
        found = subprocess.run(
            [sys.executable, "-c", script, root],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            timeout=60,
        )
    finally:
        (root / "closed").chmod(0o755)
        (root / "listed").chmod(0o755)
    assert found.stdout.splitlines() == [
        "a.jpg|1|False|1",
        "closed|None|True|unreadable Permission denied",
        "listed/c.jpg|None|False|unreadable Permission denied",
        "listed/inner|None|True|unreadable Permission denied",
    ]


def test_a_root_that_is_gone_is_yielded_itself(tmp_path: Path) -> None:
    [entry] = storage.walk(tmp_path / "gone")
    assert (entry.relative, entry.size, entry.unreadable_folder) == (".", None, True)


def test_a_folder_removed_during_the_walk(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg")
    touch(tmp_path / "b" / "2.jpg")
    found = storage.walk(tmp_path)
    assert next(found).relative == "a/1.jpg"
    storage.remove(tmp_path / "b")
    [rest] = found
    assert (rest.relative, rest.size, rest.unreadable_folder) == ("b", None, True)


# ---------------------------------------------------------------------------------- read_photo


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def nothing(path: Path) -> None: ...


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket has at most 107 bytes
        listener.bind(path.name)
        os.chdir(here)


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (nothing, "missing"),
        (broken_link, "missing"),
        (loop, "unreadable"),
        (folder, "is_directory"),
        (fifo, "not_a_file"),
        (bound_socket, "not_a_file"),
        (link_to("/dev/zero"), "not_a_file"),
        (link_to("/dev/null"), "not_a_file"),
        (link_to("/dev/tty"), "not_a_file"),
        (link_to("/etc/passwd/photo.jpg"), "missing"),
        (link_to("/proc/self/mem"), "unreadable"),
    ],
    ids=lambda case: getattr(case, "__name__", str(case)),
)
def test_what_is_no_photo_file(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    path = tmp_path / "photo.jpg"
    make(path)
    if path.is_symlink() and "/proc/" in str(path.readlink()) and not path.exists():
        pytest.skip("no /proc here")
    with pytest.raises(ImageError) as caught:
        storage.read_photo(str(path), 1000)
    assert (caught.value.stage, caught.value.reason) == ("read", reason)
    assert caught.value.detail


def test_a_name_with_nul_is_unreadable() -> None:
    with pytest.raises(ImageError) as caught:
        storage.read_photo("a\\x00b.jpg", 10)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_reading_whole_files(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    assert storage.read_photo(str(touch(tmp_path / "a.jpg", content)), 1000) == content


def test_too_many_bytes(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.jpg", bytes(1001))
    with pytest.raises(ImageError) as caught:
        storage.read_photo(str(path), 1000)
    assert (caught.value.reason, caught.value.detail) == (
        "too_many_bytes",
        "1001 bytes, the limit is 1000",
    )


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageError, match=f"{1 << 40} bytes, the limit is 1000"):
        storage.read_photo(str(path), 1000)


def test_a_file_whose_size_is_a_lie(tmp_path: Path) -> None:
    """Files of /proc say that they are empty and hold as much as they like."""
    path = Path("/proc/self/maps")
    if not path.exists():
        pytest.skip("no /proc here")
    assert path.stat().st_size == 0
    with pytest.raises(ImageError) as caught:
        storage.read_photo(str(path), 1000)
    assert caught.value.reason == "too_many_bytes"


def test_refused_files_are_closed_again(tmp_path: Path) -> None:
    """A worker meets millions of photos; a descriptor lost on each bad one would stop it."""
    folder(tmp_path / "folder.jpg")
    fifo(tmp_path / "pipe.jpg")
    touch(tmp_path / "big.jpg", bytes(99))
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        for name in ("folder.jpg", "pipe.jpg", "big.jpg"):
            with pytest.raises(ImageError):
                storage.read_photo(str(tmp_path / name), 10)
    assert len(os.listdir("/dev/fd")) == before


# -------------------------------------------------------------------------------------- writes


def test_write_text_creates_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("é one", "two"):
        storage.write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
        assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [ValueError("disk"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = touch(tmp_path / "a.bin", b"old")

    def write(temporary: Path) -> None:
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        storage.write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_write_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.write_atomically(tmp_path / "a.bin", lambda temporary: None)
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.write_text(tmp_path / "gone" / "a.json", "x")
    assert os.listdir(tmp_path) == []


def test_a_folder_removed_while_writing_is_an_error(tmp_path: Path) -> None:
    inside = tmp_path / "run"
    inside.mkdir()

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"x")
        storage.remove(inside)

    with pytest.raises(FileNotFoundError):
        storage.write_atomically(inside / "a.bin", write)
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "a.bin" / "kept")
    with pytest.raises(IsADirectoryError):
        storage.write_text(tmp_path / "a.bin", "x")
    assert os.listdir(tmp_path) == ["a.bin"]
    assert os.listdir(tmp_path / "a.bin") == ["kept"]


def test_readers_see_one_version_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    versions = [bytes([number]) * 200_000 for number in range(5)]
    storage.write_atomically(path, lambda temporary: temporary.write_bytes(versions[0]))
    seen, over = set(), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for content in versions * 4:
            storage.write_atomically(path, lambda t, content=content: t.write_bytes(content))
    finally:
        over.set()
        reader.join()
    assert seen
    assert seen <= set(versions)


def test_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    writers = [
        threading.Thread(
            target=storage.write_atomically, args=(path, lambda t, c=content: t.write_bytes(c))
        )
        for content in contents
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.bin", b"old")
    script = (
        "import os, sys; from pathlib import Path; from verger import storage\n"
        "def write(t): t.write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
        "storage.write_atomically(Path(sys.argv[1]), write)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False, timeout=60)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    # What stays behind is hidden, so that no reader of tables takes it for one.
    assert all(name.startswith(".") for name in os.listdir(tmp_path) if name != "a.bin")


def test_new_files_have_ordinary_permissions(tmp_path: Path) -> None:
    touch(tmp_path / "plain")
    storage.write_text(tmp_path / "atomic", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


# --------------------------------------------------------------------- replace_folder, remove


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_replace_folder_without_an_old_one(tmp_path: Path) -> None:
    touch(tmp_path / "new" / "a")
    storage.replace_folder(tmp_path / "new", tmp_path / "final")
    assert tree(tmp_path) == ["final", "final/a"]


def test_replace_folder_with_an_old_one(tmp_path: Path) -> None:
    touch(tmp_path / "new" / "a")
    touch(tmp_path / "final" / "b")
    touch(tmp_path / ".final.old" / "c")  # as after a crash
    storage.replace_folder(tmp_path / "new", tmp_path / "final")
    assert tree(tmp_path) == ["final", "final/a"]


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_replace_what_is_no_folder(tmp_path: Path, kind: str) -> None:
    target = touch(tmp_path / "elsewhere" / "kept").parent
    for _ in range(2):
        storage.remove(tmp_path / "final")
        if kind == "file":
            touch(tmp_path / "final")
        else:
            (tmp_path / "final").symlink_to(target if kind == "link" else "nowhere")
        touch(tmp_path / "new" / "a")
        storage.replace_folder(tmp_path / "new", tmp_path / "final")
        assert tree(tmp_path) == ["elsewhere", "elsewhere/kept", "final", "final/a"]


def test_replace_by_nothing_keeps_the_old_folder(tmp_path: Path) -> None:
    touch(tmp_path / "final" / "b")
    with pytest.raises(FileNotFoundError):
        storage.replace_folder(tmp_path / "new", tmp_path / "final")
    assert tree(tmp_path) == ["final", "final/b"]


def test_remove(tmp_path: Path) -> None:
    touch(tmp_path / "folder" / "deep" / "a")
    touch(tmp_path / "file")
    touch(tmp_path / "kept" / "b")
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("folder", "file", "link", "broken", "not there"):
        storage.remove(tmp_path / name)
    assert tree(tmp_path) == ["kept", "kept/b"]
