"""The bundled table of scikit-learn, dealt to days of 2020 so that every month has all growers."""

import polars as pl
from sklearn.datasets import load_wine

from mainline.settings import Month
from usecase.schema import CLASSES, KEY, RAW

SOURCES = ("wine",)
MONTHS = 6


def _table() -> pl.DataFrame:
    bunch = load_wine()
    frame = pl.DataFrame(bunch.data, schema=list(bunch.feature_names)).with_row_index("row")
    row = pl.col("row").cast(pl.Int64)
    frame = frame.with_columns(
        day=pl.date(2020, row % MONTHS + 1, row // MONTHS % 10 + 1),
        wine=pl.format("w{}", row.cast(pl.String).str.zfill(3)),
        grower=pl.Series([CLASSES[number] for number in bunch.target]),
        strength=pl.when(pl.col("alcohol") > 13).then(pl.lit("strong")).otherwise(pl.lit("light")),
    )
    return frame.select(RAW[0].names).sort(KEY.name)


def months(source: str) -> list[Month]:
    return [Month(2020, month + 1) for month in range(MONTHS)]


def read(source: str, month: Month) -> dict[str, pl.DataFrame]:
    return {"wines": _table().filter(pl.col("day").dt.month() == month.month)}
