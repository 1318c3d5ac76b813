"""Result files are written whole or not at all."""

import os

import pytest

from margincover.errors import InputError
from margincover.io import output


def test_text_and_bytes_are_written_and_replace_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    output.write_atomically(path, "é")
    assert path.read_bytes() == b"\xc3\xa9"
    path.chmod(0o640)
    output.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_failed_rename_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("old")

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left on device"):
        output.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("none/result.html", "does not exist"), ("", "was a directory"), ("file/x", "does not exist")],
)
def test_unusable_target_names_path_and_option(tmp_path, name, words):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError) as caught:
        output.write_atomically(tmp_path / name, "x", option="--html FILE")
    assert words in str(caught.value)
    assert "--html FILE" in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_folder_without_permission_is_refused(tmp_path, monkeypatch):
    # The superuser may write everywhere: the refusal of the system is played, so that the test runs for everybody.
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match="no permission"):
        output.write_atomically(tmp_path / "x.json", "x")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_symbolic_link_keeps_pointing_to_its_target(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    output.write_atomically(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"
