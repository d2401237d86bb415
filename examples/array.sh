#!/bin/bash
# Fifty small tasks; Slurm spreads them over as many nodes as it needs.
#SBATCH --job-name=array
#SBATCH --array=1-50
#SBATCH --output=array-%a.out
sleep 1
echo "task $SLURM_ARRAY_TASK_ID of 50 on $(hostname)"
