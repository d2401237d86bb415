"""The main job, by sbatch from the login node as an ordinary user: MPI over four nodes, an array of 50, another shape with a constraint."""
import pathlib
import shutil
import subprocess
import unittest

import harness

TEXT = """
pools:
  cpu: {max: 20, cpus: 2, memory: 512MiB, features: [general]}
  big: {max: 4, cpus: 4, memory: 2GiB, features: [bigmem], gres: ["gpu:2"]}
partitions:
  batch: {pools: [cpu], default: true, max_time: "1:00:00"}
  large: {pools: [big]}
idle_reclaim: 5s
"""


class MainJob(harness.E2E):
    def test_mpi_array_and_second_shape(self):
        with harness.Cluster(TEXT) as c:
            home = c.state / "shared/home/user"
            ring = c.base / "mpi_ring"
            subprocess.run(["mpicc", "-O1", "-o", str(ring), str(harness.ROOT / "examples/mpi_ring.c")], check=True)
            shutil.copy(ring, home / "mpi_ring")
            (home / "mpi_ring").chmod(0o755)
            mpi = int(c.login("sbatch --parsable -N4 --ntasks-per-node=1 -o mpi.out --wrap 'srun --mpi=pmix ./mpi_ring'"))
            array = int(c.login("sbatch --parsable --array=1-50 -o array-%a.out --wrap 'echo task $SLURM_ARRAY_TASK_ID on $(hostname)'"))
            large = int(c.login("sbatch --parsable -p large -C bigmem -c4 --gres=gpu:1 -o large.out "
                                "--wrap 'echo on $(hostname) cpus $SLURM_CPUS_ON_NODE gpu $SLURM_JOB_GPUS'"))
            c.wait_job(mpi, timeout=60)
            c.wait_job(large, timeout=60)
            c.wait(lambda: not c.login(f"squeue -h -j {array}", check=False).strip(), 90, "the array job")
            text = (home / "mpi.out").read_text()
            self.assertIn("token passed through 4 ranks on 4 hosts", text)
            tasks = [(home / f"array-{n}.out").read_text() for n in range(1, 51)]
            self.assertEqual([f"task {n}" for n in range(1, 51)], [t.split(" on ")[0] for t in tasks])
            self.assertTrue(all(t.split(" on ")[1].startswith("cpu-") for t in tasks))
            self.assertRegex((home / "large.out").read_text(), r"on big-000\d cpus 4 gpu \d")
            # The nodes go away again: no machine, every node asleep.
            c.wait(lambda: not c.instances(), 60, lambda: f"instances {c.instances()}")
            c.wait(lambda: all("POWERED_DOWN" in n["state"] for n in c.nodes().values()), 20, lambda: str(c.nodes()))
            self.assertEqual(0, c.slipway("nodes").count("cpu-"))
            kinds = {e["kind"] for e in c.events()}
            self.assertLessEqual({"node_wanted", "launch_requested", "node_bound", "node_serving", "node_reclaimed"}, kinds)

    def test_srun_from_powered_down_nodes(self):
        with harness.Cluster(TEXT) as c:
            out = c.login("srun -N4 hostname")
            self.assertEqual(4, len(set(out.split())))
            # Explain speaks of what happened.
            node = out.split()[0]
            self.assertIn(node, c.slipway("explain", node))


if __name__ == "__main__":
    unittest.main()
