#include "cloud/local/local_provider.h"
