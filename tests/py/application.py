"""Applications unpacked from their Debian packages, run on files of their own.

Each command runs in a mount namespace: over the machine's /usr, /etc and /var lie the unpacked
packages, and over /etc the test's own files. /run and /srv are folders of the test. Nothing outside
changes, and when an application is stopped all its processes end with it."""

import os
import pathlib
import shutil
import socket
import subprocess

from support import LIMIT_SECS, REPO, wait_for

MOUNTS = """\
set -e
tree=$1 own=$2 kind=$3; shift 3
export PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount --bind "$own/srv" /srv
mount -t overlay -o ro,lowerdir="$tree/usr:/usr" overlay /usr
mount -t overlay -o ro,lowerdir="$tree/var:/var" overlay /var
mount -t overlay -o ro,lowerdir="$own/etc:$tree/etc:/etc" overlay /etc
mount --bind "$own/run" /run
while read -r from to; do mount --bind "$own/$from" "$to"; done <"$own/mounts"
cd /srv
[ "$kind" = daemon ] || exec "$@"
# This shell is told when the test is gone, and takes all others with it. Who changes the user is not told.
"$@" &
wait $!
"""


def tree():
    path = pathlib.Path(os.environ.get("VESTIBULE_TEST_APPLICATIONS", REPO / "tests" / ".tools" / "applications"))
    assert (path / "packages").exists(), f"no applications in {path}; tests/run unpacks them"
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Application:
    """One application with its configuration, under the names that its package gives them."""

    def __init__(self, folder, server):
        self.folder = pathlib.Path(folder)
        self.server = server
        self.started = []
        for name in ("srv", "etc", "run"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "mounts").write_text("")
        # Also who is not root may look at what is made for them.
        (self.folder / "srv").chmod(0o755)
        self.write("/srv/ca.pem", server.ca.read_text())
        self.ldap_host, port = server.ldap.rsplit(":", 1)
        self.ldap_port = int(port)

    def path(self, inside):
        """Where a file of the application is kept."""
        assert inside.split("/")[1] in ("srv", "etc", "run"), inside
        return self.folder / inside.lstrip("/")

    def write(self, inside, text, mode=0o644, owner=None):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if owner is not None:
            shutil.chown(path, *owner)
        return path

    def folder_for(self, user, inside, mode=0o755):
        """A folder that a user may write to."""
        path = self.path(inside)
        path.mkdir(parents=True)
        path.chmod(mode)
        shutil.chown(path, user, user_group(user))

    def users(self, *names):
        """Adds system users and groups to what this machine has."""
        for file, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            text = pathlib.Path("/etc", file).read_text()
            known = {one.split(":")[0] for one in text.splitlines()}
            new = [line.format(name, 990_000 + i) for i, name in enumerate(names) if name not in known]
            self.write(f"/etc/{file}", text + "".join(new))

    def keep(self, name, inside):
        """Makes a folder of the packages writable for this application."""
        shutil.copytree(tree() / inside.lstrip("/"), self.folder / name)
        with open(self.folder / "mounts", "a") as mounts:
            mounts.write(f"{name} {inside}\n")

    def _command(self, args, user, kind, unshare):
        if user is not None:
            args = ["setpriv", f"--reuid={user}", f"--regid={user_group(user)}", "--clear-groups", *args]
        mounts = ["sh", "-c", MOUNTS, "sh", str(tree()), str(self.folder), kind]
        return ["unshare", "--mount", "--propagation=private", *unshare, *mounts, *map(str, args)]

    def run(self, *args, user=None, stdin="", env=None):
        """A command of the application that ends by itself."""
        return subprocess.run(
            self._command(args, user, "command", []), input=stdin, capture_output=True, text=True, timeout=60,
            env=dict(plain_env(), **(env or {})),
        )

    def must(self, *args, **how):
        result = self.run(*args, **how)
        assert result.returncode == 0, (args, result.stdout, result.stderr)
        return result.stdout

    def start(self, *args, user=None, env=None):
        """A daemon, kept in the foreground. Its processes are children of a namespace that dies with it."""
        unshare = ["--pid", "--fork", "--kill-child", "--mount-proc", "--ipc"]
        with open(self.folder / "daemon.log", "ab") as log:
            process = subprocess.Popen(
                self._command(args, user, "daemon", unshare), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(plain_env(), **(env or {})),
            )
        self.started.append(process)
        return process

    def ready(self, check, what):
        """Waits until the application answers; tells its log if it does not."""
        def alive():
            assert all(p.poll() is None for p in self.started), f"{what} ended; log: {self.log()}"
            return check()
        try:
            return wait_for(alive, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; log: {self.log()}") from None

    def log(self):
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        for process in self.started:
            process.kill()
            process.wait(LIMIT_SECS)
        self.started.clear()


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def user_group(user):
    return "nogroup"


def plain_env():
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
