"""Values, settings, errors and the scheduler, which all floors above use."""
