"""The command line. Each command is a module of this package, imported only when it is run."""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from gateway import full_version
from gateway.config.secret import UnreadableSecretError
from gateway.errors import ConfigError
from gateway.observability.console import is_json, json_streams, occupy_standard_files, say
from gateway.observability.journal import ERROR

EX_CONFIG = 78
"""Exit code for a faulty configuration (sysexits.h); systemd shows it as CONFIG."""

COMMANDS = {
    "init": "write a commented configuration, its schema and a compose file into a folder",
    "serve": "serve the API until SIGTERM or SIGINT",
    "check": "check a configuration file and its stores, and print every mistake as file:line:column",
    "health": "ask the gateway on this machine whether it accepts requests",
    "doctor": "look for what would keep the gateway from serving, each with a remedy",
    "reload": "let the installed service take over its configuration, whole or not at all",
    "roll": "replace the installed service's process by a new one; no client waits, no stream is cut",
    "rollback": "roll to the version that served before, or to another installed one",
    "console": "print the way into the operators' console",
    "routes": "list the served paths and the plugin of each",
    "schema": "print the JSON Schema of the configuration",
    "translate": "print the Gemini request for a chat request in a JSON file, or the completion for a Gemini answer,"
    " without any call",
    "keys": "issue API keys to clients, list, change and revoke them",
    "plugin": "install plugins of your own, such that they survive upgrades; list and remove them",
    "alert": "send a test message to the webhook of the plugin `alert`",
    "replay": "show a request that the plugin `capture` has kept, or send it again",
    "connect": "print what a program needs to use the gateway, or write it into its files",
    "prices": "print the prices of models by day, or what differs from another list",
    "models": "print which model answers for a name and what it can do, or what differs from Google's own list",
    "usage": "print calls, tokens and cost from the ledger",
    "backup": "copy ledger and state into one file, also while the gateway runs",
    "restore": "put ledger and state back from a backup, while the gateway does not run",
    "ledger": "move the ledger from SQLite to PostgreSQL",
    "fake": "serve the emulator, which answers as Gemini does",
    "demo": "serve on the emulator, show two answers, and serve the console with emulated traffic",
}
"""Commands and their help; `gateway.cli.<command>` has `add_arguments(parser)` and `run(options)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 for a failure, 2 for bad arguments, 78 for a bad configuration."""
    occupy_standard_files()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if argv is None and is_json():
            json_streams(stdout="serve" in arguments[:1])
    except ValueError as error:
        say(f"gateway: {error}", ERROR)
        return 2
    try:
        if arguments[:1] == ["serve"]:
            gc.disable()  # until it serves: what a start allocates stays
        options = parser(arguments).parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except ConfigError as error:
        for fault in error.faults:
            say(fault, ERROR)
        return EX_CONFIG
    except UnreadableSecretError as error:  # of a command that reads only the secrets that it needs
        say(f"gateway: {error}", ERROR)
        return EX_CONFIG
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # such as `gateway routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if arguments[0] == "serve" or not _is_of_database(error):
            raise
        from gateway.server.stores import first_line

        say(f"gateway {arguments[0]}: the ledger cannot be used: {first_line(error)}", ERROR)
        return 1
    finally:
        gc.enable()


def _is_of_database(error: Exception) -> bool:
    """Return whether an error is SQLAlchemy's, which only commands of the ledger import. One is a missing table."""
    return "sqlalchemy" in sys.modules and isinstance(error, sys.modules["sqlalchemy"].exc.SQLAlchemyError)


class _Version(argparse.Action):
    """The option `--version`: the commit is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(full_version())
        parser.exit()


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of the command that is run."""
    result = argparse.ArgumentParser(
        prog="gateway", description="An OpenAI-compatible gateway to Google Gemini."
    )
    result.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and its commit, and exit"
    )
    commands = result.add_subparsers(required=True, metavar="COMMAND")
    command = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items() if command not in COMMANDS else ((command, COMMANDS[command]),):
        sub_parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == command:
            module = import_module(f"gateway.cli.{name}")
            module.add_arguments(sub_parser)
            sub_parser.set_defaults(run=module.run)
    return result


if __name__ == "__main__":
    sys.exit(main())
