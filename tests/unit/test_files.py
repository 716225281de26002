"""Atomic output: complete or absent, whatever goes wrong; digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from csnn import files
from csnn.errors import InvalidInputError
from csnn.files import atomic_directory, atomic_file, is_own_directory, sha256

OWN_MANIFEST = json.dumps({"schema": "csnn-image", "version": 1})


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def small_files() -> Iterator[None]:
    """Make every write beyond 4096 bytes of a file fail, as on a full disk.

    No fixture: the limit would still hold while the test runner prints to a file of its own.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)


def test_file_appears_complete_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    for content in ("first", "second"):
        with atomic_file(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.name.endswith("a.tar.gz")
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    assert names(tmp_path) == ["a.tar.gz"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(2)])
def test_failed_file_leaves_the_older_one(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_body_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInputError, match=r"a\.txt: No such file"),
        atomic_file(tmp_path / "a.txt"),
    ):
        pass
    assert names(tmp_path) == []


def test_file_through_a_link_replaces_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with atomic_file(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_impossible_destinations_are_named_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    cases = (
        (atomic_file, tmp_path / "mine", "exists and is not a regular file"),
        (atomic_file, Path("/dev/null"), "exists and is not a regular file"),
        (atomic_file, tmp_path / "none" / "a", "does not exist"),
        (atomic_file, tmp_path / "file" / "a", "does not exist"),
        (atomic_file, tmp_path / "a\0b", "null"),
        (atomic_directory, tmp_path / "file", "exists and is not a directory"),
        (atomic_directory, tmp_path / "file" / "a", "Not a directory"),
        (atomic_directory, tmp_path / "mine", "exists and was not written by csnn"),
        (atomic_directory, Path.cwd(), "is the current folder or holds it"),
        (atomic_directory, Path.cwd().parent, "is the current folder or holds it"),
        (atomic_directory, tmp_path / ("n" * 300), "File name too long"),
        (atomic_directory, Path("/proc/csnn"), "No such file or directory"),
    )
    for make, path, reason in cases:
        with pytest.raises(InvalidInputError, match=reason) as caught, make(path):
            pytest.fail("the body must not start")
        assert len(str(caught.value).splitlines()) == 1
        assert ".tmp-" not in str(caught.value)
    assert names(tmp_path) == ["file", "mine", "mine/thesis.tex"]


def test_disk_errors_become_one_line_about_the_destination(
    tmp_path: Path,
) -> None:
    def write_file() -> None:
        with atomic_file(tmp_path / "big.bin") as temporary:
            temporary.write_bytes(b"x" * 10_000)

    def write_directory() -> None:
        with atomic_directory(tmp_path / "new" / "image") as temporary:
            (temporary / "small").write_bytes(b"x")
            (temporary / "big").write_bytes(b"x" * 10_000)

    with small_files(), pytest.raises(InvalidInputError) as caught:
        write_file()
    assert str(caught.value) == f"{tmp_path / 'big.bin'}: File too large"
    with small_files(), pytest.raises(InvalidInputError) as caught:
        write_directory()
    assert str(caught.value) == f"{tmp_path / 'new' / 'image'}: File too large"
    assert names(tmp_path) == []


def test_full_disk_and_inner_files_are_reported_by_their_names(tmp_path: Path) -> None:
    def fail(inner: str | None) -> None:
        with atomic_directory(tmp_path / "image") as temporary:
            name = None if inner is None else str(temporary / inner)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    with pytest.raises(InvalidInputError) as caught:
        fail(None)
    assert str(caught.value) == f"{tmp_path / 'image'}: No space left on device"
    with pytest.raises(InvalidInputError) as caught:
        fail("node.bin")
    assert str(caught.value) == f"{tmp_path / 'image' / 'node.bin'}: No space left on device"
    with (
        pytest.raises(InvalidInputError, match="image: 10 requested and 0 written"),
        atomic_directory(tmp_path / "image"),
    ):
        raise OSError("10 requested and 0 written")
    assert names(tmp_path) == []


def test_directory_appears_complete_with_the_folders_above(tmp_path: Path) -> None:
    path = tmp_path / "out" / "run" / "image"
    with atomic_directory(path) as temporary:
        assert temporary.name.startswith("image.tmp-")
        (temporary / "manifest.json").write_text(OWN_MANIFEST)
        (temporary / "sub").mkdir()
        assert not path.exists()
    assert names(path) == ["manifest.json", "sub"]
    with atomic_directory(path) as temporary:
        (temporary / "manifest.json").write_text(OWN_MANIFEST)
        assert names(path) == ["manifest.json", "sub"]
    assert names(path) == ["manifest.json"]
    assert names(tmp_path / "out" / "run") == ["image", "image/manifest.json"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(2)])
@pytest.mark.parametrize("exists", [False, True])
def test_failed_directory_leaves_no_trace(
    tmp_path: Path, error: BaseException, exists: bool
) -> None:
    path = tmp_path / "out" / "image"
    if exists:
        path.mkdir(parents=True)
        (path / "manifest.json").write_text(OWN_MANIFEST)
    before = names(tmp_path)

    def fail() -> None:
        with atomic_directory(path) as temporary:
            (temporary / "deep").mkdir()
            (temporary / "deep" / "half").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == before


def test_failed_swap_puts_the_older_directory_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.mkdir()
    (path / "manifest.json").write_text(OWN_MANIFEST)
    (path / "old").write_text("x")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if Path(target) == path and not (self / "old").exists():
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_directory(path) as temporary:
        (temporary / "new").write_text("x")
    assert names(tmp_path) == ["image", "image/manifest.json", "image/old"]


def test_directory_that_was_filled_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "image"

    def work_beside_another() -> None:
        with atomic_directory(path):
            path.mkdir()
            (path / "thesis.tex").write_text("x")

    with pytest.raises(InvalidInputError, match="was not written by csnn"):
        work_beside_another()
    assert names(tmp_path) == ["image", "image/thesis.tex"]


@pytest.mark.parametrize(
    ("manifest", "own"),
    [
        (OWN_MANIFEST, True),
        ('{"versions": {"csnn": "0.1.0"}}', True),
        ('{"written_by": "csnn 0.1.0"}', True),
        ('{"name": "another tool"}', False),
        ('{"a": {"b": {"csnn": 1}}}', False),
        ('["csnn"]', False),
        ('{"schema": "csnn-im', False),
        ("[" * 100_000, False),
        ("\0\xff", False),
        (None, False),
    ],
)
def test_only_empty_directories_and_our_own_are_replaced(
    tmp_path: Path, manifest: str | None, own: bool
) -> None:
    assert is_own_directory(tmp_path)
    (tmp_path / "data").write_text("x")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest, encoding="latin-1")
    assert is_own_directory(tmp_path) == own
    assert not is_own_directory(tmp_path / "none")


def test_ctrl_c_in_another_process_leaves_no_trace(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from csnn.files import atomic_directory\n"
        "with atomic_directory(sys.argv[1]) as temporary:\n"
        "    (temporary / 'half').write_text('x')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new" / "image")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A parent that ignores SIGINT (a background job) would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert names(tmp_path) != []
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    assert names(tmp_path) == []


def test_digest_is_that_of_the_whole_file_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "data"
    content = os.urandom(1 << 16) * 64
    path.write_bytes(content)
    tracemalloc.start()
    digest = sha256(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digest == hashlib.sha256(content).hexdigest()
    assert peak < len(content) / 4
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert sha256(path) != digest
    with pytest.raises(InvalidInputError, match="none: No such file or directory"):
        sha256(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="Is a directory"):
        sha256(tmp_path)
    assert files.MANIFEST_NAME == "manifest.json"
