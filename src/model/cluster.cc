#include "model/cluster.h"
