#include "join/handshake.h"
