"""Policies: pure decisions on the arguments given. Where a decision depends on the time, the time is an argument."""
