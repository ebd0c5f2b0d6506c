#!/bin/sh
# Runs containers with Podman in a mount namespace of their own, and its API beside them, until standard input ends.
# Usage: unshare -m podman.sh FOLDER GROUP PORT SOCKET NODE
# One container connects to the port, one to the Unix socket; both have the host's network, and stay.
# Prints the id of each container, then `ready`.
set -eu
folder=$1
group=$2
port=$3
socket=$4
node=$5
# Of version 2 alone, also where the host has both; what is mounted here ends with the namespace.
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
cat >"$folder/storage.conf" <<END
[storage]
driver = "vfs"
graphroot = "$folder/graph"
runroot = "$folder/run"
END
cat >"$folder/containers.conf" <<END
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "$folder/tmp"
static_dir = "$folder/static"
volume_path = "$folder/volumes"
[containers]
pids_limit = 0
END
export CONTAINERS_STORAGE_CONF="$folder/storage.conf" CONTAINERS_CONF="$folder/containers.conf"
mkdir -p "$folder/root/bin"
cp "$(command -v busybox)" "$folder/root/bin/busybox"
tar -C "$folder/root" -c . | podman import --quiet - localhost/agent:1 >&2
podman system service --time 0 "unix://$folder/podman.sock" >&2 &
service=$!
end() {
  podman rm --all --force --time 0 >&2 || true
  kill "$service"
  wait "$service" || true
  # Empty ones only: what others made there stays.
  for each in "$group/conmon" "$group" /libpod_parent/conmon /libpod_parent; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "/sys/fs/cgroup$each" ] || break
      rmdir "/sys/fs/cgroup$each" 2>/dev/null || sleep 0.1
    done
  done
}
trap end EXIT
start() {
  podman run --detach --cgroup-parent "$group" --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 \
    --label team=agents --label "com.example/odd key=a=b" "$@"
}
start --network host localhost/agent:1 /bin/busybox sh -c "busybox sleep 60 | busybox nc 127.0.0.1 $port"
# busybox speaks to no Unix socket, so Node of the host does it, in the container all the same.
start --network host --volume /:/host:ro localhost/agent:1 /bin/busybox chroot /host "$node" \
  -e "require('node:net').connect('$socket').on('error', () => {}).resume()"
while [ ! -S "$folder/podman.sock" ]; do sleep 0.1; done
echo ready
cat >/dev/null
