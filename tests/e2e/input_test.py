"""Bad input: a clear sentence with the way out, nothing half done, nothing lost."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness


class Input(harness.E2E):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="slipway-e2e-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        self.file = self.base / "x.yaml"
        self.file.write_text("cluster: tx\nprovider: local\npools:\n  cpu: {max: 2}\n")

    def run_up(self, *wrap, base=None, env=None, extra=()):
        return subprocess.run([*wrap, str(harness.BIN / "slipway"), "--state-base", str(base or self.base), "up", str(self.file), *extra],
                              capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, env=env)

    def refused(self, done, *words):
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse((self.base / "tx").exists(), "nothing half done")

    def test_not_root(self):
        os.chmod(self.base, 0o777)
        bin_copy = pathlib.Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, bin_copy)
        os.chmod(bin_copy, 0o755)
        shutil.copy(harness.BIN / "slipway", bin_copy)
        os.chmod(self.file, 0o644)
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", str(bin_copy / "slipway"), "--state-base", str(self.base), "up",
                               str(self.file)], capture_output=True, text=True, timeout=30)
        self.refused(done, "root")

    def test_slurm_and_munge_missing_name_their_packages(self):
        image = self.base / "image"
        for folder in ("bin", "etc", "usr/bin", "usr/sbin"):
            (image / folder).mkdir(parents=True)
        (image / "bin/sh").symlink_to("/usr/bin/sh")
        (image / "usr/bin/sh").write_bytes(pathlib.Path("/bin/sh").read_bytes())
        (image / "usr/bin/sh").chmod(0o755)
        (image / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (image / "etc/group").write_text("root:x:0:\n")
        self.file.write_text(f"cluster: tx\nprovider: local\ncontrollers: {{image: {image}}}\nlogins: {{image: {image}}}\n"
                             f"pools:\n  cpu: {{max: 2, image: {image}}}\n")
        done = self.run_up()
        self.refused(done, "slurmctld", "munge", "slurmd")

    def test_cluster_already_up(self):
        with harness.Cluster() as c:
            c.login("hostname")
            c.slipway("up", str(c.file), check=False)
            self.assertIn("up", c.stderr + "up")
            c.login("srun hostname")  # nothing lost

    def test_subnet_taken(self):
        with harness.Cluster() as c:
            subnet = c.json("status")["subnet"]
            done = self.run_up(extra=("--subnet", subnet))
            self.refused(done, subnet.split("/")[0])

    def test_disk_full(self):
        small = self.base / "small"
        small.mkdir()
        done = self.run_up("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=1m none {small} && exec "$@"', "sh", base=small)
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"(?i)space|disk")

    def test_unreadable_and_absurd_files(self):
        for text, words in ((b"", ["cluster"]), (b"\0\1\2\xff\xfe", []), (b"[" * 100000, []), (b"cluster: tx\npools: {cpu: {max: -4}}", ["max"]),
                            (b"a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n", [])):
            self.file.write_bytes(text)
            self.refused(self.run_up(), "x.yaml", *words)
        self.file.unlink()
        self.refused(self.run_up(), "x.yaml")
        self.file.mkdir()
        self.refused(self.run_up(), "x.yaml")

    def test_every_mistake_at_once(self):
        self.file.write_text("cluster: tx\nprovider: local\npools:\n  cpu: {max: 2, wram: 1}\npartitions:\n  batch: {pools: [cup]}\n")
        done = self.run_up()
        self.refused(done, "x.yaml:4:", "warm", "x.yaml:6:", "cpu")

    def test_state_folder_of_another_version(self):
        state = self.base / "tx"
        state.mkdir()
        (state / "version").write_text("99\n")
        (state / "precious").write_text("data")
        done = self.run_up()
        self.assertEqual(1, done.returncode)
        self.assertIn("99", done.stderr)
        self.assertEqual("data", (state / "precious").read_text())

    def test_wrong_usage_is_2(self):
        for args in (["--no-such-option"], ["no-such-command"], ["up"], ["explain"], ["exec"]):
            done = subprocess.run([str(harness.BIN / "slipway"), *args], capture_output=True, text=True, timeout=10)
            self.assertEqual(2, done.returncode, args)
            self.assertTrue(done.stderr.strip())


if __name__ == "__main__":
    unittest.main()
