"""Figures and flame graphs of docs/why/performance.md (make bench-page)."""
