"""The image that the test bed's hosts boot: Debian with systemd and sshd, built once and cached by its recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "iproute2"),
    *("ca-certificates", "procps", "curl"),
    # Libraries and locales that PostgreSQL's packages would bring: no module uses them itself, and unpacking them takes
    # half the CPU time of the installation on each host.
    *("libllvm14", "libicu72", "locales"),
)
MASKED = (
    *("console-getty.service", "getty@.service", "container-getty@.service", "systemd-udevd.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "systemd-timesyncd.service", "e2scrub_all.timer"),
)
# As in a cloud image, machine-specific files such as host keys are created at first boot.
HOST_KEYS = """[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
"""
SSHD = "PasswordAuthentication no\nUseDNS no\nMaxStartups 100\n"
CUSTOMIZE = """set -eu
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/var/lib/dbus/machine-id
: > "$1"/etc/machine-id
chroot "$1" useradd --create-home --shell /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD: ALL' > "$1"/etc/sudoers.d/admin
chmod 0440 "$1"/etc/sudoers.d/admin
echo 'DPkg::Options {{ "--force-unsafe-io"; }};' > "$1"/etc/apt/apt.conf.d/99testbed
printf '%s' '{sshd}' > "$1"/etc/ssh/sshd_config.d/testbed.conf
printf '%s' '{keys}' > "$1"/etc/systemd/system/host-keys.service
chroot "$1" systemctl enable host-keys.service ssh.service
chroot "$1" systemctl mask {masked}
"""
APT_SETTINGS = Path("/etc/apt/apt.conf.d")
# Files that this machine and its hosts need to reach package mirrors. They change between runs.
MACHINE_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")


def cache_folder() -> Path:
    """Return the folder in which images are cached between runs."""
    given = os.environ.get("DTK_TESTBED_CACHE")
    base = Path(given) if given else Path("/var/cache") if os.access("/var/cache", os.W_OK) else Path.home() / ".cache"
    return base / "dtk-testbed"


def image_root() -> Path:
    """Return the root of the image's files; build it if this machine has not built this recipe yet."""
    script = CUSTOMIZE.format(sshd=SSHD, keys=HOST_KEYS, masked=" ".join(MASKED))
    recipe = "\n".join([SUITE, *PACKAGES, script, *(str(source.read_bytes()) for source in own_sources())])
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    root = cache_folder() / digest
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _build(root, script)
    return root


def own_sources() -> list[Path]:
    """Return this machine's package sources if it runs the image's system; else none, for mmdebstrap's defaults."""
    release = Path("/etc/os-release").read_text()
    if f"VERSION_CODENAME={SUITE}" not in release:
        return []
    found = [*Path("/etc/apt/sources.list.d").glob("debian*.sources"), Path("/etc/apt/sources.list")]
    return [path for path in found if path.is_file() and "deb" in path.read_text()]


def _build(root: Path, script: str) -> None:
    building = root.with_name(f"{root.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    customize = root.with_name(f"{root.name}.sh")
    customize.write_text(script)
    settings = [f"--aptopt={path}" for path in apt_settings()]
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *settings]
    command += ['--aptopt=DPkg::Options "--force-unsafe-io"', f'--customize-hook=sh {customize} "$1"']
    command += ["--format=directory", SUITE, str(building), *map(str, own_sources())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the test bed's image could not be built: {done.stderr[-3000:]}")
    building.chmod(0o755)
    building.rename(root)
    customize.unlink()


def apt_settings() -> list[Path]:
    """Return the files that configure how this machine reaches package mirrors."""
    return [path for path in sorted(APT_SETTINGS.iterdir()) if "Acquire::" in path.read_text(errors="replace")]
