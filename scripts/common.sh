# Shared by the scripts beside it; source it. Sets `root`, the top folder of the source tree.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What building and running needs, and nothing that only some developers want.
packages=(
  # to build
  ccache cmake g++ git libbenchmark-dev libboost-json1.81-dev libboost1.81-dev libcli11-dev libexpected-dev libgtest-dev
  libsodium-dev libsqlite3-dev libssl-dev libyaml-cpp-dev mold ninja-build
  # to run, on the box and on the machines that share its root
  iproute2 munge slurm-client slurm-wlm-basic-plugins slurmctld slurmd
  # to run MPI programs, tests and the demonstration
  libopenmpi-dev libpmix2 mmdebstrap openmpi-bin python3
)

# What only tests need: Azure's own clients, which the simulated Azure must satisfy. Large: about 80 s to install.
test_packages=(python3-azure)

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "This needs root, and there is no sudo: run it as root." >&2
    exit 1
  fi
}
