"""What never goes into an image: mounts, secrets, the traces of sessions. Patterns are those of `.gitignore`."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from jupyter_mlplat.errors import InvalidInput

SECRET = "may hold a secret"  # noqa: S105
SESSION = "belongs to a running session"
CACHE = "cache"
MOUNT = "a mount of the pod"
NOT_A_FILE = "neither a file, a folder nor a link"
RESERVED = "its name means a removal in an image"
EXCLUDED = "left out by you"
HALF_MADE = "an environment that is being made or removed"

_WILD = re.compile(r"[*?\[\]\\]")

_DEFAULTS: Mapping[str, Sequence[str]] = {
    SECRET: (
        "**/.ssh/*", "!**/.ssh/config", "!**/.ssh/known_hosts", "!**/.ssh/authorized_keys", "!**/.ssh/*.pub",
        ".aws/", ".azure/", ".boto", ".s3cfg", "**/.config/gcloud/", "**/.config/rclone/", ".git-credentials",
        "**/.config/git/credentials", "**/.config/gh/hosts.yml", ".netrc", "_netrc", ".pypirc", ".npmrc", ".pgpass",
        "**/.docker/config.json", "**/.config/containers/auth.json", ".kube/", ".gnupg/", ".huggingface/",
        "**/.cache/huggingface/token", "**/.cache/huggingface/stored_tokens", ".kaggle/", "**/.config/mlplat/",
        ".bash_history", ".python_history", ".zsh_history", ".sqlite_history",
        "/run/secrets/", "/var/run/secrets/", "/run/mlplat/",
    ),
    SESSION: (
        "**/.local/share/jupyter/runtime/", "**/.local/share/jupyter/jupyter_cookie_secret",
        "**/.local/share/jupyter/notebook_secret", "**/.local/share/jupyter/nbsignatures.db*",
        "**/.jupyter/lab/workspaces/", "**/.jupyter/migrated",
        "**/.ipython/profile_*/security/", "**/.ipython/profile_*/pid/", "**/.ipython/profile_*/log/",
        "**/.ipython/profile_*/db/", "**/.ipython/profile_*/history.sqlite*",
        "**/.ipython/profile_*/startup/README", "**/.ipython/README",
        ".vscode-server/", ".vscode-server-insiders/", ".cursor-server/", ".windsurf-server/",
        "**/.cache/JetBrains/", "**/.config/JetBrains/", "**/.local/share/JetBrains/",
    ),
    HALF_MADE: ("/opt/mlplat/env/envs/.*.partial/", "/opt/mlplat/env/share/jupyter/kernels/.*.partial/"),
    CACHE: ("**/.cache/pip/", "**/.cache/uv/", "**/.cache/rattler/", "/cache/**", "/tmp/**", "/var/tmp/**"),  # noqa: S108
    MOUNT: ("/proc/", "/sys/", "/dev/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"),
}  # fmt: skip


@dataclass(frozen=True)
class LeftOut:
    """Something that stayed behind: its path in the image, and why."""

    path: str
    reason: str


def readable(path: str) -> str:
    """A path as text that can be sent: names of files need not be UTF-8."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def nothing_there(path: str) -> InvalidInput:
    """For a path that is to be left out and that neither the environment nor its image has."""
    return InvalidInput(f"There is nothing at {readable(path)} to leave out. Write it as the preview does.")


class Rules:
    """Decides about paths relative to an image's root; what a folder's reason is, is that of all below it.

    `mounts` are the mount points of the container, `more` the administrator's own lines, which come last and may take
    a default back with `!`, `excluded` the paths that the user leaves out. InvalidInput for a line that is no pattern.
    """

    def __init__(self, mounts: Iterable[str] = (), more: Iterable[str] = (), excluded: Iterable[str] = ()) -> None:
        self._excluded = {path.strip("/") for path in excluded} - {""}
        self._mounts = {mount.strip("/") for mount in mounts} - {""}
        lines = [(line, reason) for reason, lines in _DEFAULTS.items() for line in lines]
        lines += [(line, SECRET) for line in more]
        self._reasons = [reason for _, reason in lines]
        try:
            self._spec = GitIgnoreSpec.from_lines(line for line, _ in lines)
        except ValueError as error:
            raise InvalidInput(f"The list of what images leave out has a line that is no pattern: {error}") from error
        self._glance = _Glance(line for line, _ in lines)

    def excludes(self, path: str) -> bool:
        """Whether the user leaves out `path` itself."""
        return path in self._excluded

    def reason(self, path: str, *, folder: bool) -> str | None:
        """Why `path` stays behind; None that it goes into the image."""
        if path in self._mounts:
            return MOUNT
        if self.excludes(path):
            return EXCLUDED
        if not self._glance.may_match(path):
            return None
        result = self._spec.check_file(f"{path}/" if folder else path)
        return self._reasons[result.index] if result.index is not None and result.include else None


class _Glance:
    """A quick look that spares most paths the whole list: what a pattern ends with decides, as folders are pruned."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._parents: set[str] = set()
        shapes = [self._shape(line.strip()) for line in lines if not line.lstrip().startswith(("!", "#"))]
        self._shapes = re.compile("|".join(filter(None, shapes)) or r"(?!)")

    def _shape(self, line: str) -> str:
        """Note one pattern; the expression that its last part is as a name, if it is neither a plain name nor all."""
        parts = [part for part in line.split("/") if part]
        if not parts:
            return ""
        if not _WILD.search(parts[-1]):
            self._names.add(parts[-1])
        elif set(parts[-1]) == {"*"} and len(parts) > 1 and not _WILD.search(parts[-2]):
            self._parents.add(parts[-2])
        else:
            return ".*" if "\\" in line else fnmatch.translate(parts[-1])
        return ""

    def may_match(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        parent = folder.rpartition("/")[2]
        return name in self._names or parent in self._parents or self._shapes.match(name) is not None
