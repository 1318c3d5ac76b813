"""Reading files and texts: each kind of broken input is one clear error."""

import builtins
import json

import pytest

from margincover.errors import InputError
from margincover.io.text import MAX_FILE_BYTES, parse_json, parse_toml, read_bytes, read_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "key 'a' stood twice"),
        ('{"a": {"b": 1, "b": 1}}', "key 'b' stood twice"),
        ('{"a": NaN}', "literal NaN"),
        ('{"a": -Infinity}', "literal -Infinity"),
        ('{"a": 1e999}', "1e999 was not finite"),
        ('{"a": ' + "9" * 5000 + "}", "integer of 5000 digits"),
        ('{"a": 1', "ended too early, at line 1"),
        ('{"a": "abc', "ended too early"),
        ('{"a":\n 1,}', "line 2 column"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels at line 1"),
        ('{"a":' * 100_000, "nested deeper than 64 levels"),
        ("{'a': 1}", "not JSON at line 1 column 2"),
    ],
)
def test_broken_json_names_file_and_reason(text, words):
    with pytest.raises(InputError) as caught:
        parse_json(text, "book.json")
    assert str(caught.value).startswith("book.json: ")
    assert words in str(caught.value)


def test_brackets_inside_strings_do_not_count_as_depth():
    text = json.dumps({"a": "[{" * 500 + '\\"' + "[" * 100})
    assert parse_json(text, "x")["a"].startswith("[{[{")


def test_json_of_64_levels_is_read():
    value = parse_json("[" * 64 + "]" * 64, "x")
    depth = 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 63


def test_unclosed_string_of_escaped_quotes_is_refused_without_long_work():
    # A scan that restarts at every quote would need 10^11 steps here.
    with pytest.raises(InputError, match="ended too early"):
        parse_json('"' + '\\"' * 300_000, "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = nan", "nan was not finite"),
        ("a = inf", "inf was not finite"),
        ("a = 1\na = 2\nb = 3\n", "line 2"),
        ("a = ", "not TOML"),
        ("a = " + "[" * 3000 + "]" * 3000, "nested deeper than 64 levels"),
    ],
)
def test_broken_toml_names_file_and_reason(text, words):
    with pytest.raises(InputError) as caught:
        parse_toml(text, "book.toml")
    assert str(caught.value).startswith("book.toml: ")
    assert words in str(caught.value)


def test_toml_brackets_in_strings_and_comments_do_not_count():
    text = "# " + "[" * 100 + "\na = '''" + "[" * 100 + "'''\nb = \"" + "[" * 100 + '"\n[[c]]\nd = 1\n'
    assert parse_toml(text, "x")["c"] == [{"d": 1}]


def test_missing_file_directory_and_empty_file_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none.json: the file does not exist"):
        read_text(tmp_path / "none.json")
    with pytest.raises(InputError, match="was a directory"):
        read_text(tmp_path)
    (tmp_path / "empty.json").write_text(" \n")
    with pytest.raises(InputError, match=r"empty.json: the file was empty"):
        read_text(tmp_path / "empty.json")


def test_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "secret.json"
    path.write_text("{}")

    # The superuser may read every file: the refusal of the system is played, so that the test runs for everybody.
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(InputError, match="no permission"):
        read_text(path)


def test_bytes_that_are_not_utf8_are_located(tmp_path):
    path = tmp_path / "latin.json"
    path.write_bytes(b'{\n"a": "\xe9"}')
    with pytest.raises(InputError, match=r"byte 8 \(line 2\) was not UTF-8"):
        read_text(path)


def test_file_over_the_limit_is_refused_by_its_size(tmp_path):
    path = tmp_path / "large.json"
    with open(path, "wb") as stream:
        # A sparse file: reading it would take 200 MB, its size takes nothing.
        stream.truncate(200_000_000)
    assert path.stat().st_size > MAX_FILE_BYTES
    with pytest.raises(InputError, match=r"large.json: the file has at least 200.0 MB; allowed: at most 67.1 MB"):
        read_bytes(path)


def test_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "mark.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(path) == "{}"
