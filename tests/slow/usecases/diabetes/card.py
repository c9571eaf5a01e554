"""What only a person can say about the model."""

NAME = "diabetes"
SUMMARY = "A tiny use case of another kind, on data that scikit-learn brings."
USES = ("Showing that a fork replaces the use case and nothing else.",)
NOT_FOR = ("Anything else.",)
LIMITS = ("The days are made up.",)
