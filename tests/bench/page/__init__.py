"""Tests of the figures and graphs of docs/why/performance.md."""
