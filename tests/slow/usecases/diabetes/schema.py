"""Regression: how far diabetes has progressed a year after ten measurements (442 patients)."""

from mainline.schema import Column, FeatureTable, Table

# Some as a fork may have them: of other scripts, with a space, and one that the ONNX graph has inside.
RENAMED = {"sex": "Geschlecht (性別)", "s1": "one", "s2": "s2 2.5%"}
NAMES = ("age", "bmi", "bp", RENAMED["s1"], RENAMED["s2"], "s3", "s4", "s5", "s6")
KEY = Column("patient", "string", "number of the patient")
DAY = Column("day", "date", "of the visit (made up: the data has none)")
SEX = Column(RENAMED["sex"], "string", "as coded", values=("a", "b"))
MEASURED = tuple(Column(name, "float64", "centred and scaled", minimum=-1, maximum=1) for name in NAMES)
TARGET = Column("progression", "float64", "one year later", minimum=0, maximum=400)

RAW = (Table("patients", (KEY, DAY, SEX, *MEASURED, TARGET), key=("patient",), time="day"),)
FEATURES = FeatureTable(
    task="regression",
    key=KEY,
    time=DAY,
    block=DAY,
    target=TARGET,
    excluded=Column("excluded", "string", "never", nullable=True),
    features=(SEX, *MEASURED),
    slices=(SEX,),
)
