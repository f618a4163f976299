"""Weights: where they are looked for, and downloads from a real server that misbehaves."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from verger import weights
from verger.errors import DownloadError, WeightsError
from verger.weights import OFFICIAL_NAME

PAYLOAD = random.Random(0).randbytes(900_000)
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()


# ---------------------------------------------------------------------------- a server to order


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.ranges.append(self.headers.get("Range"))
            answers = self.server.answers
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with suppress(ConnectionError):  # the client has had enough
            answer(self)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


Answer = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """Answers with `answers` one after the other, the last one again and again.

    `ranges` holds the Range header of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.h5"


def head(handler: Handler, code: int, **headers: object) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def whole(handler: Handler) -> None:
    """A server that knows no ranges."""
    head(handler, 200, Content_Length=len(PAYLOAD))
    handler.wfile.write(PAYLOAD)


def ranged(handler: Handler, most: int | None = None) -> None:
    """A server that does; at most `most` bytes before it hangs up."""
    given = handler.headers.get("Range")
    start = int(given.removeprefix("bytes=").rstrip("-")) if given else 0
    if start >= len(PAYLOAD):
        head(handler, 416, Content_Range=f"bytes */{len(PAYLOAD)}", Content_Length=0)
        return
    length = len(PAYLOAD) - start
    if given:
        span = f"bytes {start}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}"
        head(handler, 206, Content_Length=length, Content_Range=span)
    else:
        head(handler, 200, Content_Length=length)
    handler.wfile.write(PAYLOAD[start:][:most])


def cut(after: int) -> Answer:
    return lambda handler: ranged(handler, after)


def cut_without_ranges(handler: Handler) -> None:
    head(handler, 200, Content_Length=len(PAYLOAD))
    handler.wfile.write(PAYLOAD[:400_000])


def unsized(handler: Handler) -> None:
    head(handler, 200)
    handler.wfile.write(PAYLOAD)


def cut_chunks(handler: Handler) -> None:
    handler.protocol_version = "HTTP/1.1"
    head(handler, 200, Transfer_Encoding="chunked")
    handler.wfile.write(b"493e0\r\n" + PAYLOAD[:300_000] + b"\r\n493e0\r\n" + PAYLOAD[:9])


def hang_up(handler: Handler) -> None:
    """Not even a status line."""


def endless(handler: Handler) -> None:
    head(handler, 200)
    while True:
        handler.wfile.write(bytes(100_000))


def status(code: int) -> Answer:
    return lambda handler: head(handler, code, Content_Length=0)


def page(handler: Handler) -> None:
    """What a hotel's network says instead."""
    head(handler, 200, Content_Length=16)
    handler.wfile.write(b"<html>log in</ht")


def redirect(handler: Handler) -> None:
    head(handler, 302, Location="/elsewhere", Content_Length=0)


def bad_length(handler: Handler) -> None:
    head(handler, 200, Content_Length="many")


def hang(handler: Handler) -> None:
    handler.server.over.wait(30)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no weights in the environment or beside the checkout, no proxies."""
    for name in ("VERGER_WEIGHTS", "VERGER_WEIGHTS_URL", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("VERGER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "SHARED_NAME", "not there.h5")
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("VERGER_WEIGHTS_URL", started.url)
        try:
            yield started
        finally:
            started.over.set()
            started.shutdown()
            thread.join()


def download(**options: object) -> Path:
    return weights.download(sha256=SHA256, pause=0.01, **options)  # type: ignore[arg-type]


def refused(**options: object) -> str:
    """The message of a download that fails; nothing may look like the weights afterwards."""
    with pytest.raises(DownloadError) as caught:
        download(**options)
    assert not (weights.cache_folder() / OFFICIAL_NAME).exists()
    text = str(caught.value)
    assert text.startswith(f"weights could not be downloaded from {weights._url()}: ")
    for way in ("1. name a file you have: --weights FILE", f"2. put {OFFICIAL_NAME}", "3. on a"):
        assert way in text
    return text.partition("\n")[0].partition("weights.h5: ")[2]


# -------------------------------------------------------------------------------------- sources


def test_the_order_of_sources(cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.h5"
    own.touch()
    found = weights.sources(str(own))
    kinds = [source.kind for source in found]
    assert kinds in (
        ["option", "cache", "checkout", "download"],
        ["option", "cache", "download"],  # tested as installed, away from a checkout
    )
    assert [source.present for source in found] == [True, *[False] * (len(found) - 1)]
    assert found[0].place == str(own)
    assert found[1].place == str(cache / OFFICIAL_NAME)
    assert found[-1].place == weights.OFFICIAL_URL
    assert [source.kind for source in weights.sources()] == kinds[1:]


def test_the_option_comes_before_the_cache(cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    (cache / OFFICIAL_NAME).touch()
    own = tmp_path / "own.h5"
    own.touch()
    assert weights.find(str(own)) == own
    assert weights.find() == cache / OFFICIAL_NAME


def test_the_option_may_begin_with_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.h5").touch()
    assert weights.find("~/own.h5") == tmp_path / "own.h5"


@pytest.mark.parametrize("name", ["gone.h5", "."])
def test_an_option_that_is_no_file_is_not_replaced_by_another(cache: Path, name: str) -> None:
    cache.mkdir()
    (cache / OFFICIAL_NAME).touch()
    with pytest.raises(WeightsError) as caught:
        weights.find(str(cache / name))
    assert not isinstance(caught.value, DownloadError)
    assert str(caught.value) == f"weights {cache / name}: no such file"


def test_weights_beside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real ones, where they are."""
    monkeypatch.undo()
    monkeypatch.setenv("VERGER_CACHE", "/nowhere")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "weights" / weights.SHARED_NAME
    if not beside.is_file():
        pytest.skip(f"no weights at {beside}")
    if "checkout" not in [source.kind for source in weights.sources()]:
        pytest.skip("verger is installed away from the checkout")
    assert weights.find() == beside


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"VERGER_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
        ({"VERGER_CACHE": "~/own"}, "/home/me/own"),
        ({"VERGER_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/verger"),
        ({"VERGER_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/verger"),
    ],
)
def test_the_cache_folder(
    environ: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert weights.cache_folder() == Path(expected)


# ------------------------------------------------------------------------------- good downloads


@pytest.mark.parametrize("answer", [whole, ranged, unsized])
def test_download(server: Server, cache: Path, answer: Answer) -> None:
    server.answers = [answer]
    told: list[tuple[int, int | None]] = []
    file = download(progress=lambda done, total: told.append((done, total)))
    assert file == cache / OFFICIAL_NAME
    assert file.read_bytes() == PAYLOAD
    assert server.ranges == [None]
    total = None if answer is unsized else len(PAYLOAD)
    assert told[-1] == (len(PAYLOAD), total)
    assert len(told) > 2
    assert told == sorted(told)
    assert not list(cache.glob("*.part"))


def test_find_downloads_what_is_nowhere(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [whole]
    monkeypatch.setattr(weights, "OFFICIAL_SHA256", SHA256)
    told: list[int] = []
    first = weights.find(progress=lambda done, total: told.append(done))
    assert first == weights.find() == cache / OFFICIAL_NAME
    assert told[-1] == len(PAYLOAD)
    assert len(server.ranges) == 1


def test_the_hash_may_be_in_capitals(server: Server) -> None:
    server.answers = [whole]
    assert weights.download(sha256=SHA256.upper(), pause=0.01).read_bytes() == PAYLOAD


def test_redirections_are_followed(server: Server) -> None:
    server.answers = [redirect, whole]
    assert download().read_bytes() == PAYLOAD


def test_a_file_can_be_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror.h5").write_bytes(PAYLOAD)
    monkeypatch.setenv("VERGER_WEIGHTS_URL", (tmp_path / "mirror.h5").as_uri())
    assert download().read_bytes() == PAYLOAD


def test_what_is_there_already_is_not_fetched_again(server: Server) -> None:
    server.answers = [whole]
    assert download() == download()
    assert len(server.ranges) == 1


def test_a_cached_file_of_another_hash_is_replaced(server: Server, cache: Path) -> None:
    server.answers = [whole]
    cache.mkdir()
    (cache / OFFICIAL_NAME).write_bytes(b"old")
    assert download().read_bytes() == PAYLOAD


def test_downloads_at_once_fetch_one_file(server: Server) -> None:
    """As when an array of jobs starts on one home folder."""
    server.answers = [cut(300_000), ranged]
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(download().read_bytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [PAYLOAD] * 4
    assert server.ranges == [None, "bytes=300000-"]


# ------------------------------------------------------------------------------- broken transfers


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server) -> None:
    server.answers = [cut(300_000), cut(100_000), ranged]
    told: list[tuple[int, int | None]] = []
    file = download(progress=lambda done, total: told.append((done, total)))
    assert server.ranges == [None, "bytes=300000-", "bytes=400000-"]
    assert file.read_bytes() == PAYLOAD
    assert {total for _, total in told} == {len(PAYLOAD)}
    assert told[-1][0] == len(PAYLOAD)


def test_a_server_without_ranges_starts_again(server: Server) -> None:
    server.answers = [cut_without_ranges, whole]
    assert download().read_bytes() == PAYLOAD
    assert server.ranges == [None, "bytes=400000-"]


def test_broken_chunks(server: Server) -> None:
    server.answers = [cut_chunks, ranged]
    assert download().read_bytes() == PAYLOAD
    assert len(server.ranges) == 2
    assert server.ranges[1] is None or int(server.ranges[1][6:-1]) <= 300_009


def test_a_transfer_that_goes_on_in_another_process(server: Server, cache: Path) -> None:
    server.answers = [ranged]
    cache.mkdir()
    (cache / f"{OFFICIAL_NAME}.part").write_bytes(PAYLOAD[:123_456])
    assert download().read_bytes() == PAYLOAD
    assert server.ranges == ["bytes=123456-"]
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("length", [len(PAYLOAD), len(PAYLOAD) + 5])
def test_416_starts_again(server: Server, cache: Path, length: int) -> None:
    server.answers = [ranged]
    cache.mkdir()
    (cache / f"{OFFICIAL_NAME}.part").write_bytes(bytes(length))
    assert download().read_bytes() == PAYLOAD
    assert server.ranges == [f"bytes={length}-", None]


@pytest.mark.parametrize("code", [500, 502, 503, 408, 429])
def test_a_passing_failure_is_tried_again(server: Server, code: int) -> None:
    server.answers = [status(code), status(code), whole]
    assert download().read_bytes() == PAYLOAD
    assert len(server.ranges) == 3


def test_a_server_that_hangs_up_is_tried_again(server: Server) -> None:
    server.answers = [hang_up, whole]
    assert download().read_bytes() == PAYLOAD


def test_a_server_that_hangs_is_tried_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_TIMEOUT", 0.5)
    server.answers = [hang, whole]
    assert download().read_bytes() == PAYLOAD


def test_a_killed_download_leaves_no_weights(server: Server, cache: Path) -> None:
    """Killed outright in mid-transfer; the next one takes the part up."""
    server.answers = [cut(600_000), ranged]
    script = (
        "import os; from verger import weights\n"
        "def told(done, total):\n"
        "    if done > 500_000: os.kill(os.getpid(), 9)\n"
        "weights.download(progress=told)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -9
    assert not (cache / OFFICIAL_NAME).exists()
    assert download().read_bytes() == PAYLOAD


# ------------------------------------------------------------------------------------- failures


def test_a_failure_that_stays(server: Server, cache: Path) -> None:
    server.answers = [status(503)]
    assert refused() == "4 tries failed, the last with: HTTP Error 503: Service Unavailable"
    assert len(server.ranges) == 4


def test_a_transfer_that_breaks_every_time(server: Server, cache: Path) -> None:
    server.answers = [cut(1000)]
    assert "the connection ended after 4000 of 900000 bytes" in refused()
    assert (cache / f"{OFFICIAL_NAME}.part").read_bytes() == PAYLOAD[:4000]
    server.answers = [ranged]
    assert download().read_bytes() == PAYLOAD


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(server: Server, code: int) -> None:
    server.answers = [status(code)]
    assert refused().startswith(f"the server answers {code} ")
    assert len(server.ranges) == 1


@pytest.mark.parametrize(("answer", "content"), [(whole, PAYLOAD), (page, b"<html>log in</ht")])
def test_a_wrong_hash(server: Server, cache: Path, answer: Answer, content: bytes) -> None:
    server.answers = [answer]
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(DownloadError) as caught:
        weights.download(pause=0.01)
    text = str(caught.value)
    assert f"SHA-256 {found}, expected {weights.OFFICIAL_SHA256};" in text
    assert f"verger weights --download --accept-sha256 {found}\n" in text
    assert len(server.ranges) == 1
    assert not [name for name in os.listdir(cache) if not name.endswith(".lock")]
    # The way out that the message names is one.
    assert weights.download(sha256=found, pause=0.01).read_bytes() == content


def test_a_truncated_file_of_unknown_size_is_refused(server: Server, cache: Path) -> None:
    def short(handler: Handler) -> None:
        head(handler, 200)
        handler.wfile.write(PAYLOAD[:-1])

    server.answers = [short]
    assert "the file has SHA-256 " in refused()
    assert not list(cache.glob("*.part"))


def test_an_endless_body_is_bounded(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_MOST_BYTES", 1_000_000)
    server.answers = [endless]
    told: list[int] = []
    assert "sends more than 1000000 bytes" in refused(progress=lambda done, _: told.append(done))
    assert len(server.ranges) == 1
    assert max(told) <= 1_000_000
    assert sum(file.stat().st_size for file in cache.iterdir()) == 0


def test_no_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port where nobody listens."""
    with Server() as closed:
        monkeypatch.setenv("VERGER_WEIGHTS_URL", closed.url)
    assert refused().startswith("4 tries failed, the last with: <urlopen error [Errno ")


@pytest.mark.parametrize(
    "url",
    [
        "weights.h5",
        "http://127.0.0.1:port/weights.h5",
        "http://a b/weights.h5",
        "s3://b/weights.h5",
    ],
)
def test_a_bad_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERGER_WEIGHTS_URL", url)
    assert refused()


def test_a_bad_length(server: Server) -> None:
    server.answers = [bad_length]
    assert "many" in refused()
    assert len(server.ranges) == 1


def test_the_cache_is_a_file(server: Server, cache: Path) -> None:
    server.answers = [whole]
    cache.touch()
    with pytest.raises(DownloadError, match=f"cache {cache}: "):
        download()
    assert server.ranges == []


def test_the_cache_cannot_be_made(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VERGER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match=r"file/cache: .*Not a directory"):
        download()
    assert server.ranges == []


@pytest.mark.parametrize("suffix", [".part", ".lock"])
def test_the_cache_cannot_be_written(server: Server, cache: Path, suffix: str) -> None:
    """Not tried again: the network is not at fault."""
    (cache / f"{OFFICIAL_NAME}{suffix}").mkdir(parents=True)
    with pytest.raises(DownloadError, match=f"cache {cache}: .*Is a directory"):
        download()
    assert server.ranges == []


def test_the_disk_fills_up(server: Server, cache: Path) -> None:
    """The process may write no more than 300 kB to one file."""
    server.answers = [ranged]
    script = (
        "import resource, sys; from verger import weights\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try: weights.download(sha256=sys.argv[1], pause=0.01)\n"
        "except weights.DownloadError as exc: print(exc)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, SHA256],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "File too large" in done.stdout
    assert not (cache / OFFICIAL_NAME).exists()
    assert download().read_bytes() == PAYLOAD
