"""What a jailed program tries; each line of the answer is `name=outcome`. Arguments: a pid outside, a port of the host's
loopback, an abstract socket of the host, a socket in the file system."""
import ctypes
import errno
import os
import socket
import subprocess
import sys

outer, port, abstract, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name, action):
    try:
        outcome = action()
        print(f"{name}={'done' if outcome is None else outcome}")
    except OSError as error:
        print(f"{name}={errno.errorcode.get(error.errno, error)}")


def call(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), "")


def connect(family, address, kind=socket.SOCK_STREAM):
    def action():
        with socket.socket(family, kind) as s:
            s.settimeout(3)
            s.connect(address)
            if kind == socket.SOCK_DGRAM:
                s.send(b"x")
                s.recv(1)

    return action


def shell(script):
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    return lambda: done.stdout.strip().replace("\n", "|") or f"failed {done.returncode}"


attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) and None)
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) and None)
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM) and None)
attempt("udp443", connect(socket.AF_INET, ("203.0.113.7", 443), socket.SOCK_DGRAM))
attempt("udp443v6", connect(socket.AF_INET6, ("2001:db8::7", 443), socket.SOCK_DGRAM))
attempt("tcp22", connect(socket.AF_INET, ("203.0.113.7", 22)))
attempt("tcp22v6", connect(socket.AF_INET6, ("2001:db8::7", 22)))
attempt("hostLoopback", connect(socket.AF_INET, ("127.0.0.1", port)))
attempt("abstract", connect(socket.AF_UNIX, "\0" + abstract))
attempt("path", connect(socket.AF_UNIX, path))
attempt("killOuter", lambda: os.kill(outer, 0))
attempt("traceOuter", lambda: call(101, 16, outer, 0, 0) if os.uname().machine == "x86_64" else call(117, 16, outer, 0, 0))
attempt("procOuter", lambda: os.listdir(f"/proc/{outer}") and None)
attempt("rootOfOuter", lambda: os.listdir(f"/proc/{outer}/root") and None)
attempt("killFirst", lambda: os.kill(1, 9))
attempt("firstRoot", lambda: os.listdir("/proc/1/root") and None)
attempt("firstDescriptors", lambda: os.readlink("/proc/1/fd/0") and None)
attempt("firstMemory", lambda: os.open("/proc/1/mem", os.O_RDWR) and None)
attempt("traceFirst", lambda: call(101, 16, 1, 0, 0) if os.uname().machine == "x86_64" else call(117, 16, 1, 0, 0))
attempt("enterFirst", lambda: call(308, os.open("/proc/1/ns/user", os.O_RDONLY), 0) if os.uname().machine == "x86_64" else call(268, -1, 0))
attempt("keys", lambda: call(250, 0, -3, 0) if os.uname().machine == "x86_64" else call(219, 0, -3, 0))
attempt("ring", lambda: call(425, 1, 0))
attempt("typing", lambda: __import__("fcntl").ioctl(0, 0x5412, b"x") and None)
attempt("newNetwork", shell("unshare -Urn ip -o link | wc -l; unshare -Urn ip route | wc -l"))
attempt("newMounts", shell('for at in /proc /dev /run "$HOME/.aws" "$HOME/state"; do unshare -Urm umount "$at" 2>/dev/null && echo "$at"; done; echo none'))
attempt("underneath", shell('unshare -Urm sh -c "mount --bind / /mnt 2>/dev/null && ls /mnt/home; mount --rbind / /mnt 2>/dev/null && cat /mnt$HOME/.aws/credentials"; echo nothing'))
attempt("names", shell("getent ahostsv4 any.example | head -1 | cut -d' ' -f1"))
attempt("status", shell("grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"))


def _is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


attempt("descriptors", lambda: ",".join(str(fd) for fd in range(1024) if _is_open(fd)))
attempt("first", lambda: open("/proc/1/comm").read().strip())
attempt("processes", lambda: str(len([p for p in os.listdir("/proc") if p.isdigit()])))
