"""``monitor``: runs shown live and looked after; behind ``--`` a command that is started and watched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bistill.app.config import MonitorOptions
from bistill.errors import OptionError
from bistill.monitor import watch
from bistill.monitor.settings import Notifying, Page, Patience, Recovery


def monitor(options: MonitorOptions, command: Sequence[str] = ()) -> None:
    """Show the runs below ``options.runs`` until interrupted, or once, and look after them.

    Args:
        options: of the command.
        command: is started first; the monitor ends with it, and with its exit code.

    Raises:
        DataError: the folder does not exist.
        OptionError: the command cannot be started, ``--once`` stands beside one, or a notification cannot be sent.
        SystemExit: the command has ended.
    """
    root, patience = Path(options.runs), Patience(options.hang_steps, options.hang_seconds)
    if options.once and command:
        todo = "leave out --once or the command"
        raise OptionError("one look cannot look after a command", where="--once", found=command[0], todo=todo)
    if options.once:
        watch.once(root, patience)
        return
    recovery = Recovery(
        max_restarts=options.max_restarts,
        restart_pause=options.restart_pause,
        grace=options.grace,
        lower_lr=options.lower_lr,
        min_free_mib=options.min_free_mib,
        evaluate=options.evaluate,
    )
    watch.watch(
        root,
        patience=patience,
        recovery=recovery if options.recover else None,
        notifying=Notifying(options.notify_command, options.notify_webhook),
        page=Page(options.host, options.port) if options.web else None,
        interval=options.interval,
        command=command,
        language=options.language,
    )
