"""How properties are examined: by what they say, not by how fast this machine happens to say it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# An example may take longer than Hypothesis expects (0.2 s), and so may drawing it, where other processes have the
# cores: that says nothing about the property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
