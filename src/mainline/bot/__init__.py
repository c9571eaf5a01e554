"""The adapter of the retraining bot: a clone of its own, the state of the world, and the steps of a plan."""
