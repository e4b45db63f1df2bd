"""How a user gets to the page: a browser that is given its address unseen, or a line for ssh."""

import getpass
import html
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAME = "explorer.html"


@contextmanager
def hold_redirect(address: str) -> Iterator[Path]:
    """Write a page that leads to another one, for this user alone, while the block runs.

    A browser that is started with an address shows it to all users of the machine, in the list of
    processes; with this file it shows the file's name, and only this user may read the file.

    Args:
        address: Where it leads.

    Yields:
        The file, of mode 0600 in a folder of mode 0700; both are gone in the end.

    Example:
        >>> with hold_redirect("http://127.0.0.1:1/secret/") as file:
        ...     "secret" in file.read_text(), oct(file.stat().st_mode & 0o777)
        (True, '0o600')
        >>> file.parent.exists()
        False
    """
    target = html.escape(address)
    with tempfile.TemporaryDirectory(prefix="vizcnn-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / NAME
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(file, flags, 0o600), "w", encoding="utf-8") as page:  # noqa: PTH123
            page.write(
                '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>vizcnn</title>\n'
                '<meta name="referrer" content="no-referrer">\n'
                f'<meta http-equiv="refresh" content="0; url={target}">\n'
                f'<p><a href="{target}">The explorer</a></p></html>\n'
            )
        yield file


def write_tunnel(port: int, surroundings: Mapping[str, str] = os.environ) -> str:
    """Write the command that makes a port of this machine one of the user's own, over ssh.

    Args:
        port: The port, the same on both: the server is asked for by it.
        surroundings: Environment variables; ssh says in one where it came from.

    Returns:
        The command line; empty where the user has not come over ssh.

    Example:
        >>> write_tunnel(4000, {"SSH_CONNECTION": "10.0.0.2 50000 10.0.0.9 22"})
        'ssh -N -L 4000:127.0.0.1:4000 ...@10.0.0.9'
        >>> write_tunnel(4000, {})
        ''
    """
    connection = surroundings.get("SSH_CONNECTION", "").split()
    if not connection:
        return ""
    # client's address and port, this machine's address and port
    _, _, host, ssh_port, *_ = [*connection, *[""] * 4]
    words = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}"]
    words += ["-p", ssh_port] if ssh_port not in ("", "22") else []
    return shlex.join([*words, f"{_name_user()}@{host or 'HOST'}"])


def _name_user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user without an entry
        return "USER"
