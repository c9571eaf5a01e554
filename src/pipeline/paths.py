"""Where everything lies, relative to the root of the repository. No other module spells a path."""

from pathlib import Path

RAW = Path("data/raw")  # <table>/month=YYYY-MM.parquet
QUARANTINE = Path("data/quarantine")  # batches that broke a critical expectation, and why
FEATURES = Path("data/features")  # train.parquet, validation.parquet, test.parquet

REPORTS = Path("reports")
VALIDATION = REPORTS / "validation.json"
FEATURE_VALIDATION = REPORTS / "validation_features.json"
DATA_DOCS = REPORTS / "data_docs" / "raw"
FEATURE_DATA_DOCS = REPORTS / "data_docs" / "features"
FEATURE_SUMMARY = REPORTS / "features.json"
TRAINING = REPORTS / "training.json"
METRICS = REPORTS / "metrics.json"
PREDICTIONS = REPORTS / "predictions.parquet"
PLOTS = REPORTS / "plots"
PROFILE = REPORTS / "profile.json"
WALKFORWARD = REPORTS / "walkforward.json"

MODELS = Path("models")
WEIGHTS = MODELS / "model.safetensors"
ONNX = MODELS / "model.onnx"
MANIFEST = MODELS / "manifest.json"
CARD = MODELS / "MODEL_CARD.md"

LOCAL = Path(".mainline")  # local state, never an output of a stage: safe to delete
CHECKPOINTS = LOCAL / "checkpoints"
SPOOL = LOCAL / "mlflow"  # what MLflow has not received yet
VALIDATED = LOCAL / "validation"  # what is known of batches that passed, by digest
STAGES = LOCAL / "stages"  # seconds and exit code of each stage's last run
