#include "slurm/adapter.h"
