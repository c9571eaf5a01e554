"""The measurements as they are."""

import narwhals as nw

from usecase.params import Featurize
from usecase.schema import FEATURES


def build(tables: dict[str, nw.LazyFrame], params: Featurize) -> nw.LazyFrame:
    patients = tables["patients"].with_columns(nw.lit(None, nw.String).alias("excluded"))
    return patients.select(*[column.name for column in FEATURES.columns])
