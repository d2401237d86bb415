// A connection from a port below 1024. Only root has those, so the daemon knows that a machine's agent speaks and not
// one of its users, who could ask the metadata service for the same documents.
#pragma once

#include <memory>
#include <random>
#include <string>

#include "base/channel.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway::agent {

// Like Channel::connect_tcp, from one of the ports 512 to 1023, the first free one from a random place on. denied: we
// aren't root. transient: all of them are taken.
Result<std::unique_ptr<Channel>> connect_privileged(Loop& loop, std::mt19937_64& random, const std::string& to);

// Some systems, containers among them, let everybody have the ports from 0 on. Takes those below 1024 back; a kernel
// that doesn't let us has said so in the log.
void reserve_privileged_ports();

}  // namespace slipway::agent
