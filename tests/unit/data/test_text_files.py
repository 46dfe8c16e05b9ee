"""Text, tables and JSON from files as people have them: encodings, line ends, delimiters, and what errors name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.text_files import Columns, parse_json, read_lines, read_table, read_text

TABLE = "image,mos\na.png,3.5\n"


def table(path: Path, content: str | bytes, columns: Columns = ("image", "mos")) -> list[dict[str, str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(read_table(path, columns))
    assert not any(row.fault for row in rows)
    return [row.cells for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.csv"


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),  # little-endian with its mark
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        " image , mos \n a.png , 3.5 \n",
        "\n  \nimage,mos\n\n,\na.png,3.5",
        '"image","mos"\n"a.png", "3.5"\n',
    ],
)
def test_one_table_in_many_dresses(path: Path, content: str | bytes) -> None:
    cells = [{name: cell.strip() for name, cell in row.items()} for row in table(path, content)]
    assert cells == [{"image": "a.png", "mos": "3.5"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,mos\nGr\xf6\xdfe.png,3\n", r"m\.csv: byte 12 \(0xf6, in line 2\) is no UTF-8; save the file as UTF-8"),
        (TABLE.encode("utf-16-le"), r"m\.csv: byte 1 is zero, so it is no UTF-8 text"),
        (TABLE.encode("utf-32"), r"m\.csv: byte 2 is zero"),
        (b"\xff\xfeimage", r"m\.csv: byte 6 \(0x65, in line 1\) is no UTF-16-LE"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", r"git-lfs pointer.*`git lfs pull`"),
        (b"image,mos,image\n", "has two columns image; rename or remove one"),
        (b"image,mos,mos ,image\n", "has two columns image, mos"),
        (b"picture,score\n", r"has no column image, mos; it has picture, score"),
        (b"picture;score\n", r"has no column image, mos; it has picture, score"),
        (b"image,MOS\n", r"has no column mos; it has image, MOS"),
        (b"\x1b[2J,\xe2\x80\xae\n", r"it has \\x1b\[2J, \\u202e"),
        (b"", "has no column image, mos; it has no header"),
        (b'image,mos\n"a.png,3\nb.png,4\n', r"line 2 begins no row of a table \(unexpected end of data\)"),
        (b'image,mos\n"a"b,3\n', r"line 2 begins no row of a table"),
        (b"image,mos\ra.png,3\r", r"m\.csv: its lines end with a carriage return alone; save it with line feeds"),
        (b"image,mos\na\rb,3\n", r"line 2 begins no row of a table"),
        (b"image,mos\n" + b"x" * 200_000 + b",3\n", r"line 2 begins no row of a table \(field larger"),
    ],
)
def test_what_is_no_table_is_one_line(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        list(read_table(path, ("image", "mos")))
    assert str(raised.value).isprintable()


def test_one_of_several_columns_is_enough(path: Path) -> None:
    columns = (("image", "img_path"), ("gt_score", "mos"))
    assert table(path, "img_path;mos\na,b;3\n", columns) == [{"img_path": "a,b", "mos": "3"}]
    path.write_text("file,mos\n")
    with pytest.raises(DataError, match="has no column image or img_path; it has file, mos"):
        list(read_table(path, columns))


def test_the_delimiter_is_the_one_by_which_the_header_has_the_columns(path: Path) -> None:
    """Not the most frequent one: the other columns may be named by anybody."""
    assert table(path, "image;mos;a,b,c,d\nx.png;3;y\n")[0]["mos"] == "3"


def test_rows_with_too_many_cells_say_so(path: Path) -> None:
    path.write_text("image,mos\nx.png,3,5\ny.png,4\nz.png\n")
    first, second, third = read_table(path, ("image", "mos"))
    assert (first.line, first.fault) == (2, "3 cells for 2 columns; quote a cell that holds a comma")
    assert (second.line, second.fault, third.fault) == (3, None, None)
    assert third.cells == {"image": "z.png"}


def test_cells_in_quotes_hold_delimiters_and_line_ends(path: Path) -> None:
    path.write_text('image,mos\n"a,\n""b"".png",3\nc.png,4\n')
    first, second = read_table(path, ("image", "mos"))
    assert (first.cells["image"], first.line) == ('a,\n"b".png', 3)
    assert second.line == 4


SEPARATORS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(f"a{SEPARATORS}b\r\n\n \nc\rd".encode())
    assert list(read_lines(tmp_path / "l")) == [(1, f"a{SEPARATORS}b"), (4, "c\rd")]
    rows = table(tmp_path / "m.csv", f"image,mos\na{SEPARATORS}b,3\n")
    assert rows == [{"image": f"a{SEPARATORS}b", "mos": "3"}]


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    for name, said in (("", "Is a directory"), ("no", "No such file"), ("x" * 300, "File name too long")):
        with pytest.raises(DataError, match=f"cannot be read: {said}"):
            read_text(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON .nested too deep"),
        ('{"a":' * 50_000, "no JSON .nested too deep"),
        ('{"mos": 3, "mos": 5}', "key 'mos' comes twice"),
        ("1" * 5000, "no JSON"),
        ("", "no JSON"),
    ],
)
def test_what_is_no_json_is_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_json(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_a_printable_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    said = ""
    try:
        list(read_table(path, ()))
    except DataError as error:
        said = str(error)
    assert said.isprintable()
