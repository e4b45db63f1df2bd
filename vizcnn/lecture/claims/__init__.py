"""The lecture's numeric claims, each beside what was computed."""
