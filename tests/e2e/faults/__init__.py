"""The loop under faults: whole workflows run by act (`loop`, `forks`); single verbs without it (the rest)."""
