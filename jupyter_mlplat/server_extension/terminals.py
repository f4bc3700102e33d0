"""Terminals with the instance's environment active."""

from typing import Any

from jupyter_server_terminals.terminalmanager import TerminalManager
from terminado.management import _update_removing

from jupyter_mlplat.server_extension.environment import process_environment


class EnvironmentTerminalManager(TerminalManager):
    """Starts each terminal with the variables that hold at that moment."""

    def make_term_env(self, **options: Any) -> dict[str, str]:  # type: ignore[override]
        terminal = super().make_term_env(**options)
        variables = process_environment()
        own = ("TERM", "COLUMNS", "LINES", "PYXTERM_DIMENSIONS")
        variables |= {name: terminal[name] for name in own if name in terminal}
        _update_removing(variables, self.extra_env or {})
        return variables
