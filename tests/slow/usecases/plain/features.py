"""The columns of the one raw table, as they are."""

import narwhals as nw

from usecase.params import Featurize
from usecase.schema import FEATURES


def build(tables: dict[str, nw.LazyFrame], params: Featurize) -> nw.LazyFrame:
    (table,) = tables.values()
    rows = table.with_columns(nw.lit(None, nw.String).alias("excluded"))
    return rows.select(*[column.name for column in FEATURES.columns])
