"""Values, settings, errors and the scheduler: what every floor above uses."""
