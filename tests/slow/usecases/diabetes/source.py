"""The bundled table of scikit-learn, dealt to days of 2020: four patients a day, ten days a month."""

import polars as pl
from sklearn.datasets import load_diabetes

from mainline.settings import Month
from usecase.schema import KEY, RAW, RENAMED

SOURCES = ("diabetes",)


def _table() -> pl.DataFrame:
    bunch = load_diabetes()
    frame = pl.DataFrame(bunch.data, schema=list(bunch.feature_names)).with_row_index("row")
    row = pl.col("row").cast(pl.Int64)
    frame = frame.with_columns(
        day=pl.date(2020, row // 40 + 1, row % 40 // 4 + 1),
        patient=pl.format("p{}", row.cast(pl.String).str.zfill(3)),
        sex=pl.when(pl.col("sex") > 0).then(pl.lit("a")).otherwise(pl.lit("b")),
        progression=pl.Series(bunch.target),
    )
    return frame.rename(RENAMED).select(RAW[0].names).sort(KEY.name)


def months(source: str) -> list[Month]:
    return [Month(2020, month) for month in range(1, 12)]


def read(source: str, month: Month) -> dict[str, pl.DataFrame]:
    return {"patients": _table().filter(pl.col("day").dt.month() == month.month)}
