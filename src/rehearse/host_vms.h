// What the host floor knows of its machines; for host_floor.cc.
#pragma once

#include <string>
#include <vector>

#include "rehearse/host_calls.h"

namespace slipway::rehearse {

struct HostVm {
  Floor::Boot boot;
  bool has_boot = false;  // `boot` is whole: this floor was asked for it
  std::string address;
  int pid = 0;
  bool doors_asked = false;
  bool doors_open = false;
  bool given = false;  // its recipe
  StartTask task;
  bool ending = false;
  bool power_cut = false;
  int rounds_since_end = 0;
  bool told = false;
};

// One launch of the machine host, repeated until it is answered.
struct HostBatch {
  HostRound::Launch launch;
  std::vector<Floor::Boot> boots;
  std::vector<bool> called_off;
};

}  // namespace slipway::rehearse
