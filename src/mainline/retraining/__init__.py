"""Pure: what the bot does about a retraining, from the watch, the policy, and what Git and the forge have."""
