"""What can go wrong with a model.

    ModelError
    ├── WeightsError   the weights are missing, incomplete or not what they should be
    ├── ModelBusy      this piece of work was refused: too much is waiting, or it is more than was asked for
    └── ModelFailed    the model raised while working, or is closed
        └── ModelAway  its server can't be reached, or asks to try again

Every message is a sentence for the operator. None of them holds what a caller said.
"""

from __future__ import annotations

from config.redaction import without_credentials


class ModelError(Exception):
    """Base of every error of this package."""

    def __str__(self) -> str:
        return without_credentials(super().__str__())  # many name the URL that was asked


class WeightsError(ModelError):
    """Weights can't be loaded; the message names the file and the remedy."""


class ModelBusy(ModelError):
    """The model's queue is full, or the work would take longer than it is worth."""


class ModelFailed(ModelError):
    """Inference failed, or the model is closed."""


class ModelAway(ModelFailed):
    """The model's server can't be reached, or asks to try again later."""
