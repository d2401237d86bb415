// What a simulated machine and the box's side say to each other: files in the machine's log folder, which the box sees
// at <state>/machines/<id>/log. Both write beside and rename, so that the other never reads a part.
#pragma once

namespace slipway::rehearse {

inline constexpr const char* vm_program = "slipway-vm";
inline constexpr const char* vm_role = "vm";  // of the machine host

// From the box, once: what to run. Strings, each with its NUL: the command of /bin/sh -c, then the environment's
// "NAME=value"s. Nothing runs in the machine before; the machine takes the file away.
inline constexpr const char* recipe_file = "start-task.recipe";
// From the machine: "begun\n", later "ended <exit status>\n"; 128 + the signal's number when one ended it.
inline constexpr const char* status_file = "start-task.status";
// The start task's own words.
inline constexpr const char* output_file = "start-task.out";
inline constexpr const char* errors_file = "start-task.err";

}  // namespace slipway::rehearse
