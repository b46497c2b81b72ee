"""scripts/setup.sh in a checkout of its own, with a Python that only pretends:
what it leaves behind when something is missing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.sh"
TOOLS = ("bash", "basename", "cat", "chmod", "cmp", "cp", "dirname", "mkdir", "rm", "sha256sum", "touch")
# A Python whose `-m venv` makes what its first line says; the made one has pip only where that is `whole`.
PYTHON = """#!/usr/bin/env bash
made=%s
case "$*" in
  "-m venv"*)
    mkdir -p .venv/bin
    { echo "#!/usr/bin/env bash"; echo "[ $made = whole ] || [ \\$2 != pip ]"; } > .venv/bin/python
    echo "#!/usr/bin/env bash" > .venv/bin/uv; chmod +x .venv/bin/*; [ "$made" = whole ] ;;
esac
"""


class Checkout:
    """A folder with the script and nothing else, and a PATH without Maven and without apt-get."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("scripts", "bin", "margin_platform/jars", "jars/some"):
            (folder / part).mkdir(parents=True)
        shutil.copy(SCRIPT, folder / "scripts")
        for name in ("requirements.lock", "pyproject.toml"):
            (folder / name).touch()
        for tool in TOOLS:
            (folder / "bin" / tool).symlink_to(str(shutil.which(tool)))

    def setup(self, python: str, *programs: str) -> tuple[int, str]:
        """Exit code and standard error of the script, with a Python of this kind."""
        stand_in = self.folder / "bin" / "python-stand-in"
        stand_in.write_text(PYTHON % python, encoding="utf-8")
        stand_in.chmod(0o755)
        around = {
            "PATH": str(self.folder / "bin"),
            "PYTHON": str(stand_in),
            "MARGIN_JARS": str(self.folder / "jars"),
        }
        done = subprocess.run(
            ["bash", "scripts/setup.sh", *programs],
            cwd=self.folder,
            env=around,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_python_without_ensurepip_leaves_no_broken_environment(checkout: Checkout) -> None:
    """The next run, with the package installed, must find nothing in its way."""
    code, said = checkout.setup("without-pip")
    assert (code, "python3-venv" in said) == (1, True)
    assert not (checkout.folder / ".venv").exists()
    assert checkout.setup("whole") == (0, "")


def test_an_environment_left_half_made_is_made_again(checkout: Checkout) -> None:
    half = checkout.folder / ".venv" / "bin" / "python"
    half.parent.mkdir(parents=True)
    half.write_text("#!/usr/bin/env bash\nexit 1\n", encoding="utf-8")
    half.chmod(0o755)
    assert checkout.setup("whole") == (0, "")


def test_maven_is_asked_for_only_where_a_jar_is_missing_or_is_not_the_pinned_one(checkout: Checkout) -> None:
    jar = checkout.folder / "jars" / "some" / "a.jar"
    pinned = f"{hashlib.sha256(b'whole').hexdigest()}  a.jar\n"
    (checkout.folder / "margin_platform" / "jars" / "some.sha256").write_text(pinned, encoding="utf-8")
    assert checkout.setup("whole", "mvn") == (1, "setup: needs mvn: install the package maven\n")
    jar.write_bytes(b"half")
    assert checkout.setup("whole", "mvn")[0] == 1
    jar.write_bytes(b"whole")
    assert checkout.setup("whole", "mvn") == (0, "")


def test_the_page_tools_are_installed_once_for_each_lock(checkout: Checkout) -> None:
    """With the locked tools in place npm is not needed, so a machine without a network can lint."""
    programs = checkout.folder / "bin"
    lock = checkout.folder / "package-lock.json"
    lock.write_text("first", encoding="utf-8")
    assert checkout.setup("whole", "node") == (1, "setup: needs node: install the package npm\n")
    for name, text in (("node", ""), ("npm", "mkdir -p node_modules")):
        (programs / name).write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    assert checkout.setup("whole", "node") == (0, "")
    (programs / "npm").unlink()
    assert checkout.setup("whole", "node") == (0, "")
    lock.write_text("second", encoding="utf-8")
    assert checkout.setup("whole", "node")[0] == 1
