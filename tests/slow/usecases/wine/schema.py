"""Multiclass: from which of three growers a wine comes, by chemical analysis (178 wines)."""

from mainline.schema import Column, FeatureTable, Table

NAMES = ("alcohol", "malic_acid", "ash", "magnesium", "flavanoids", "hue", "proline")
CLASSES = ("first", "second", "third")
KEY = Column("wine", "string", "number of the wine")
DAY = Column("day", "date", "of the analysis (made up: the data has none)")
MEASURED = tuple(Column(name, "float64", "as measured", minimum=0, maximum=2000) for name in NAMES)
TARGET = Column("grower", "string", "who made it", values=CLASSES)
STRENGTH = Column("strength", "string", "strong: over 13 % alcohol", values=("strong", "light"))

RAW = (Table("wines", (KEY, DAY, *MEASURED, TARGET, STRENGTH), key=("wine",), time="day"),)
FEATURES = FeatureTable(
    task="multiclass",
    key=KEY,
    time=DAY,
    block=DAY,
    target=TARGET,
    excluded=Column("excluded", "string", "never", nullable=True),
    features=MEASURED,
    slices=(STRENGTH,),
    classes=CLASSES,
)
