#include "engine/decide.h"
