#!/bin/bash
# Four nodes, one rank on each; the ranks really exchange messages (examples/mpi_ring.c).
#SBATCH --job-name=mpi
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --output=mpi.out
# Machines of one box share its cores: a rank that waits lets the others work.
export OMPI_MCA_mpi_yield_when_idle=1
srun --mpi=pmix ./mpi_ring
