"""This use case's own parameters: the sections `featurize` and `train.model` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mainline.settings import Section


class Featurize(Section):
    """How long before scheduled departure something must have happened to be used."""

    weather_lag_hours: Annotated[int, Field(ge=1)]
    lead_minutes: Annotated[int, Field(ge=1)]


class Model(Section):
    """The network's shape: `members` of an ensemble that share `layers` hidden layers of `width`, and the
    length of each categorical's `embedding`.
    """

    width: Annotated[int, Field(ge=1)]
    layers: Annotated[int, Field(ge=1)]
    members: Annotated[int, Field(ge=1)]
    embedding: Annotated[int, Field(ge=1)]
