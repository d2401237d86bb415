#include "machines/host.h"
