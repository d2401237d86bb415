#!/bin/bash
# Another partition, whose machines have another shape, chosen by a feature.
#SBATCH --job-name=bigmem
#SBATCH --partition=large
#SBATCH --constraint=bigmem
#SBATCH --cpus-per-task=4
#SBATCH --mem=3G
#SBATCH --output=bigmem.out
echo "$(hostname) gives this job $SLURM_CPUS_ON_NODE CPUs and $SLURM_MEM_PER_NODE MiB"
