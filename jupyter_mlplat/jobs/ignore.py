"""What stays behind when a folder is packed: our defaults, then its own `.mlplatignore`, which has the last word.

The file is written like a `.gitignore`. A line such as `!big.csv` takes something in that the defaults or the limit for
one file would leave out; as in git, nothing below a folder that was left out can be taken in again.
"""

from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from jupyter_mlplat.errors import InvalidInput

IGNORE_FILE = ".mlplatignore"

_DEFAULTS = {
    "version control": (".git/", ".git", ".hg/", ".svn/"),
    "cache": (
        "__pycache__/", "*.pyc", "*.pyo", ".cache/", ".mypy_cache/", ".ruff_cache/", ".pytest_cache/", ".hypothesis/",
        ".ipynb_checkpoints/", ".virtual_documents/", ".jupyter_ystore.db", ".tox/", ".nox/", "*.egg-info/",
    ),
    "installed packages: the image brings them": (".venv/", "venv/", ".conda/", "node_modules/"),
    "settings of an editor": (".idea/", ".vscode/", "*.swp", "*.swo", "*~", ".DS_Store", "Thumbs.db"),
    "trash": (".Trash/", ".Trash-*/"),
    "may hold secrets": (
        ".env", ".env.*", "!.env.example", "!.env.sample", "!.env.template", ".netrc", ".git-credentials", ".pypirc",
        ".npmrc", ".pgpass", ".ssh/", ".aws/", ".azure/", ".kube/", ".gnupg/", ".docker/", ".config/gcloud/",
        ".huggingface/", ".kaggle/", ".mlplat/", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key",
        "*.p12", "*.pfx", "*.ppk", "*.kdbx",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """`reason` says why a path stays behind, None that it may go; `asked` that `.mlplatignore` takes it in by name."""

    reason: str | None
    asked: bool = False


class Ignore:
    """Decides about paths relative to one folder."""

    def __init__(self, lines: list[str]) -> None:
        defaults = [(pattern, reason) for reason, patterns in _DEFAULTS.items() for pattern in patterns]
        self._reasons = [reason for _, reason in defaults] + [f"named in {IGNORE_FILE}"] * len(lines)
        self._own = len(defaults)
        try:
            self._spec = GitIgnoreSpec.from_lines([*(pattern for pattern, _ in defaults), *lines])
        except ValueError as error:
            raise InvalidInput(f"The file {IGNORE_FILE} has a line that cannot be read as a pattern: {error}") from None

    @classmethod
    def of(cls, folder: Path) -> "Ignore":
        """The rules of one folder. A `.mlplatignore` that cannot be read is an error, not an empty one."""
        try:
            text = (folder / IGNORE_FILE).read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            return cls([])
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The file {IGNORE_FILE} cannot be read: {error}") from None
        return cls(text.splitlines())

    def verdict(self, path: str, *, folder: bool = False) -> Verdict:
        result = self._spec.check_file(f"{path}/" if folder else path)
        if result.index is None:
            return Verdict(None)
        if result.include:
            return Verdict(self._reasons[result.index])
        return Verdict(None, asked=result.index >= self._own)
