"""The check at every door: a table has its columns, in their types, without holes; a file is one or is named."""

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.tables import Table

ALL = [value for value in vars(tables).values() if isinstance(value, Table)]
SOME: dict[object, object] = {
    pl.String: "text",
    pl.Int64: 3,
    pl.Float64: 0.5,
    pl.Boolean: True,
    tables.MESSAGES: [{"role": "user", "content": "hello"}],
}


def rows_of(table: Table, count: int = 2) -> list[dict[str, object]]:
    return [{name: SOME[kind] for name, kind in table.columns.items()} for _ in range(count)]


@pytest.fixture(params=ALL, ids=lambda table: table.name)
def table(request):
    return request.param


def test_a_whole_table_passes_as_it_is(table):
    frame = table.frame(rows_of(table))
    assert frame.rows() == pl.DataFrame(rows_of(table), schema=table.schema).rows()
    assert frame.schema == table.schema


def test_every_missing_column_is_named(table):
    frame = table.frame(rows_of(table))
    for name in table.columns:
        with pytest.raises(DataError, match=rf"the {table.name} table lacks .*\b{name}\b"):
            tables.check(frame.drop(name), table)


def test_every_column_of_another_type_is_named(table):
    frame = table.frame(rows_of(table))
    for name in table.columns:
        with pytest.raises(DataError, match=f"the {table.name} table's column '{name}'"):
            tables.check(frame.with_columns(pl.Series(name, [b"x", b"y"])), table)


def test_a_hole_is_refused_exactly_where_none_may_be(table):
    for name in table.columns:
        holed = [{**row, name: None} for row in rows_of(table, 3)]
        if name in table.nullable:
            assert table.frame(holed)[name].null_count() == 3
        else:
            with pytest.raises(DataError, match=f"column '{name}' is empty in 3 rows"):
                table.frame(holed)


def test_a_nullable_column_without_any_value_takes_its_type(table):
    frame = table.frame(rows_of(table)).with_columns(pl.lit(None).alias(name) for name in table.nullable)
    assert tables.check(frame, table).schema == table.schema


def test_no_rows_make_an_empty_table_of_the_right_types(table):
    assert table.frame([]).schema == table.schema
    assert tables.check(pl.DataFrame({name: [] for name in table.columns}), table).schema == table.schema


def test_other_columns_are_left_out_and_the_order_is_the_tables():
    frame = pl.DataFrame({"reason": ["r"], "extra": [1], "reference": ["x"], "source": ["s"]})
    assert tables.check(frame, tables.DROPS).to_dict(as_series=False) == {
        "source": ["s"],
        "reference": ["x"],
        "reason": ["r"],
    }


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(tables.DROPS.columns, texts)), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_a_table_comes_back_from_its_file_and_equal_rows_give_equal_bytes(tmp_path, rows):
    frame = tables.DROPS.frame(rows)
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    tables.write(frame, one, tables.DROPS)
    tables.write(tables.DROPS.frame(rows), other, tables.DROPS)
    assert tables.read(one, tables.DROPS).equals(frame)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("folder", ["plain", "[study] (1)", "a*b?", "中文", "with space"])
def test_the_folder_of_a_table_may_have_any_name(tmp_path, folder):
    path = tmp_path / folder / "drops.parquet"
    path.parent.mkdir()
    tables.write(tables.DROPS.frame(rows_of(tables.DROPS)), path, tables.DROPS)
    assert tables.read(path, tables.DROPS).height == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\x89PNG\r\n\x1a\n",
        b'{"source": "x"}\n',
        b"PAR1",
        b"PAR1PAR1",
        b"PAR1" * 50,
        b"\xff" * 5000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_file_of_something_else_is_named(tmp_path, content):
    path = tmp_path / "drops.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError) as problem:
        tables.read(path, tables.DROPS)
    assert str(problem.value).startswith(f"{path}: cannot be read as a Parquet file")


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "drops.parquet"
    tables.write(tables.DROPS.frame(rows_of(tables.DROPS, 50)), path, tables.DROPS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"drops\.parquet"):
            tables.read(path, tables.DROPS)


def test_a_file_that_is_not_there_a_folder_and_another_table_are_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.parquet: there is no such file"):
        tables.read(tmp_path / "gone.parquet", tables.DROPS)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="folder: "):
        tables.read(tmp_path / "folder", tables.DROPS)
    tables.write(tables.DROPS.frame(rows_of(tables.DROPS)), tmp_path / "drops.parquet", tables.DROPS)
    with pytest.raises(DataError, match=r"drops\.parquet: the items table lacks"):
        tables.read(tmp_path / "drops.parquet", tables.ITEMS)
