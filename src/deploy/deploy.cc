#include "deploy/deploy.h"
