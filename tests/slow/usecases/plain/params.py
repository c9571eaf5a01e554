"""This use case's own parameters: none for the features, two for the network."""

from mainline.settings import Section


class Featurize(Section):
    pass


class Model(Section):
    width: int
    dropout: float
