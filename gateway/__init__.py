"""An OpenAI-compatible gateway to Google Gemini."""

__version__ = "0.1.0"


def commit() -> str:
    """Return the commit that this program was built from, as `git describe` names it, or "unknown".

    The build writes it into `commit.txt` of the package (setup.py). Only a checkout that was never built asks git.
    """
    import subprocess
    from importlib.resources import files
    from pathlib import Path

    written = files("gateway").joinpath("commit.txt")
    if written.is_file():
        return written.read_text("utf-8").strip() or "unknown"
    root = Path(__file__).parent.parent
    if not (root / ".git").exists() or not (root / "setup.cfg").exists():
        return "unknown"
    describe = ["git", "-C", str(root), "-c", "safe.directory=*", "describe", "--always", "--dirty", "--tags"]
    try:
        result = subprocess.run(  # noqa: S603 - constant words
            describe, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip() or "unknown"


def full_version() -> str:
    """Return the version with the commit, such as `0.1.0 (5f03f92)`."""
    return f"{__version__} ({commit()})"
