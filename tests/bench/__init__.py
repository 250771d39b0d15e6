"""Tests of the measurements' arithmetic; none looks at a clock."""
