"""What only a person can say about the model; the model card takes every figure from records."""

NAME = "flight-delay"

SUMMARY = (
    "The probability that a flight out of New York arrives more than 15 minutes late, from what is known at "
    "its scheduled departure."
)

USES = (
    "Ranking the day's departures by risk, so that travellers and ground staff can plan ahead.",
    "Showing how a model is trained, checked, released and retrained from Git; this is a template's example.",
)

NOT_FOR = (
    "Decisions about safety, crews or compensation.",
    "Airports other than EWR, JFK and LGA, or other years: fleets, schedules and airlines change.",
    "Whether a flight will be cancelled or diverted: such flights have no arrival delay and are left out.",
)

LIMITS = (
    "The share of late flights moves between about 0.13 and 0.33 from month to month; probabilities are "
    "recalibrated on the latest month before the test, and drift away from then on.",
    "Weather is that of the airport of departure, some hours old; nothing is known about the destination's.",
    "The data are one year, 2013; no yearly season can be learnt or tested.",
)
