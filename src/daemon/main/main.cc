// slipwayd: the daemon beside slurmctld, and with --prepare the writer of Slurm's configuration.
#include <getopt.h>
#include <malloc.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "base/log.h"
#include "daemon/daemon.h"

namespace {

constexpr const char* usage =
    R"(usage: slipwayd [--cluster FILE] [--run DIR] [--data DIR] [--keys DIR] [--host-socket PATH] [--slurm-conf PATH] --listen IP:PORT
       slipwayd --prepare --controller-host HOST --controller-address IP [--cluster FILE] [--conf DIR] [--hosts FILE]

Runs the Slipway daemon of a cluster's controller until SIGTERM or SIGINT.

  --cluster FILE            the cluster file (/etc/slipway/cluster.yaml)
  --run DIR                 where hook.sock and api.sock are made (/run/slipway)
  --data DIR                where events.db is kept (/var/lib/slipway-data)
  --keys DIR                where munge.key and master.key are (/etc/slipway/keys)
  --host-socket PATH        the machine host's socket (/run/slipway-host/host.sock)
  --slurm-conf PATH         slurm.conf (/etc/slurm/slurm.conf)
  --listen IP:PORT          where agents join, such as 198.18.0.2:6830
  --hosts FILE              the hosts file whose Slipway sections are kept up to date (/etc/hosts)

  --prepare                 write slurm.conf, gres.conf, cgroup.conf and hosts for the Slurm that is installed here, and end
  --conf DIR                Slurm's folder (/etc/slurm)
  --controller-host HOST    the controller's host name
  --controller-address IP   the controller's address

  --help, --version
)";

int wrong_usage(const std::string& why) {
  std::fprintf(stderr, "slipwayd: %s\n%s", why.c_str(), usage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // Few arenas, and big tables handed back at once: the daemon's memory is what it holds, not what it once held.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);

  slipway::daemon::DaemonOptions run;
  run.cluster_file = "/etc/slipway/cluster.yaml";
  run.run_folder = "/run/slipway";
  run.data_folder = "/var/lib/slipway-data";
  run.keys_folder = "/etc/slipway/keys";
  run.host_socket = "/run/slipway-host/host.sock";
  run.slurm_conf = "/etc/slurm/slurm.conf";
  run.hosts_file = "/etc/hosts";
  slipway::daemon::PrepareOptions prepare;
  prepare.conf_folder = "/etc/slurm";
  prepare.hosts_file = "/etc/hosts";
  bool preparing = false;

  enum Flag {
    cluster = 1,
    run_dir,
    data,
    keys,
    host_socket,
    slurm_conf,
    listen,
    prepare_flag,
    conf,
    hosts,
    host,
    address,
    help,
    version
  };
  const option flags[] = {{"cluster", required_argument, nullptr, cluster},
                          {"run", required_argument, nullptr, run_dir},
                          {"data", required_argument, nullptr, data},
                          {"keys", required_argument, nullptr, keys},
                          {"host-socket", required_argument, nullptr, host_socket},
                          {"slurm-conf", required_argument, nullptr, slurm_conf},
                          {"listen", required_argument, nullptr, listen},
                          {"prepare", no_argument, nullptr, prepare_flag},
                          {"conf", required_argument, nullptr, conf},
                          {"hosts", required_argument, nullptr, hosts},
                          {"controller-host", required_argument, nullptr, host},
                          {"controller-address", required_argument, nullptr, address},
                          {"help", no_argument, nullptr, help},
                          {"version", no_argument, nullptr, version},
                          {}};
  for (int flag = 0; (flag = getopt_long(argc, argv, "", flags, nullptr)) != -1;) {
    switch (flag) {
      case cluster:
        run.cluster_file = optarg;
        break;
      case run_dir:
        run.run_folder = optarg;
        break;
      case data:
        run.data_folder = optarg;
        break;
      case keys:
        run.keys_folder = optarg;
        break;
      case host_socket:
        run.host_socket = optarg;
        break;
      case slurm_conf:
        run.slurm_conf = optarg;
        break;
      case listen:
        run.listen = optarg;
        break;
      case prepare_flag:
        preparing = true;
        break;
      case conf:
        prepare.conf_folder = optarg;
        break;
      case hosts:
        prepare.hosts_file = run.hosts_file = optarg;
        break;
      case host:
        prepare.controller_host = optarg;
        break;
      case address:
        prepare.controller_address = optarg;
        break;
      case help:
        std::fputs(usage, stdout);
        return 0;
      case version:
        std::puts("slipwayd " SLIPWAY_VERSION);
        return 0;
      default:
        std::fputs(usage, stderr);
        return 2;
    }
  }
  if (optind < argc) return wrong_usage(std::string("unexpected argument \"") + argv[optind] + "\"");

  slipway::Result<void> done;
  if (preparing) {
    if (prepare.controller_host.empty() || prepare.controller_address.empty()) {
      return wrong_usage("--prepare needs --controller-host and --controller-address");
    }
    prepare.cluster_file = run.cluster_file;
    done = slipway::daemon::prepare_controller(prepare);
  } else {
    if (run.listen.empty()) return wrong_usage("--listen is needed: the controller's address and a port for agents");
    done = slipway::daemon::run_daemon(run);
  }
  if (done) return 0;
  slipway::log_error(preparing ? "prepare_failed" : "daemon_failed", {{"why", done.error().message}});
  return 1;
}
