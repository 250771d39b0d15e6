"""Decisions: pure rules over what they are given; the clock, where one is needed, is an argument."""
