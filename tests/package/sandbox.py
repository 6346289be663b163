"""Runs the command of a systemd unit as the unit says: user, files, limits, privileges, and the system calls that its filter
allows. A call that it denies kills the process here, so that no test passes by luck."""

import ctypes
import os
import platform
import pwd
import re
import resource
import struct
import subprocess

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP = 38, 22, 24
SECCOMP_MODE_FILTER, RET_ALLOW, RET_KILL_PROCESS = 2, 0x7FFF0000, 0x80000000
LD_W_ABS, JEQ, RET = 0x20, 0x15, 0x06
MACHINES = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}
libc = ctypes.CDLL(None, use_errno=True)


def read_unit(path):
    """The settings of [Service]; each has a list of values."""
    settings, section = {}, None
    for line in open(path).read().replace("\\\n", " ").splitlines():
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            section = line
        elif section == "[Service]":
            name, value = line.split("=", 1)
            settings.setdefault(name, []).append(value)
    return settings


def last(unit, name, default=None):
    return unit.get(name, [default])[-1]


def call_names(word):
    """The system calls of a word of SystemCallFilter=, of which those with @ are sets."""
    if not word.startswith("@"):
        return {word}
    text = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(call_names(one) for one in words if one and not one.startswith("#")))


def allowed_calls(unit):
    allowed = set()
    for value in unit["SystemCallFilter"]:
        names = set().union(*map(call_names, value.lstrip("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed | {"execve"}


def call_numbers():
    text = open("/usr/include/" + MACHINES[platform.machine()]).read()
    return {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}


def install_filter(names):
    numbers = call_numbers()
    wanted = sorted({numbers[name] for name in names if name in numbers})
    assert len(wanted) > 150, "the numbers of the system calls are known"
    program = [(LD_W_ABS, 0, 0, 0)]
    for number in wanted:
        program += [(JEQ, 0, 1, number), (RET, 0, 0, RET_ALLOW)]
    program.append((RET, 0, 0, RET_KILL_PROCESS))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header):
        raise OSError(ctypes.get_errno(), "the filter of system calls")


def mount_files(unit):
    """ProtectSystem=strict, ProtectHome= and PrivateTmp=, in a namespace that only this process has."""
    state = "/var/lib/" + last(unit, "StateDirectory")
    assert last(unit, "ProtectSystem") == "strict" and last(unit, "ProtectHome") == last(unit, "PrivateTmp") == "yes"
    run = lambda *arguments: subprocess.run(["mount", *arguments], check=True)
    run("--make-rprivate", "/")
    run("--bind", state, state)
    run("-o", "remount,bind,ro", "/")
    for directory in ("/tmp", "/home", "/root"):
        run("-t", "tmpfs", "-o", "mode=1777" if directory == "/tmp" else "mode=0", "tmpfs", directory)


def state_directory(unit, user):
    path = "/var/lib/" + last(unit, "StateDirectory")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, int(last(unit, "StateDirectoryMode"), 8))
    os.chown(path, user.pw_uid, user.pw_gid)
    return path


def variables(unit, user, extra):
    """What systemd sets, and nothing of the caller's."""
    state = "/var/lib/" + last(unit, "StateDirectory")
    own = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "STATE_DIRECTORY": state}
    named = dict(one.split("=", 1) for value in unit.get("Environment", []) for one in value.split())
    return own | {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell} | named | extra


def become(unit, command, extra):
    """Never returns: this process becomes the command."""
    user = pwd.getpwnam(last(unit, "User"))
    calls = allowed_calls(unit)
    state_directory(unit, user)
    # CLONE_NEWNS
    if libc.unshare(0x00020000):
        raise OSError(ctypes.get_errno(), "a namespace of its own")
    mount_files(unit)
    os.chdir("/")
    for name, kind in (("LimitNOFILE", resource.RLIMIT_NOFILE), ("LimitCORE", resource.RLIMIT_CORE)):
        # This machine may allow less than the unit asks for.
        limits = int(last(unit, name)), resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (min(limits) if limits[1] != resource.RLIM_INFINITY else limits[0],) * 2)
    os.umask(int(last(unit, "UMask"), 8))
    assert last(unit, "CapabilityBoundingSet") == last(unit, "AmbientCapabilities") == "", "no capabilities"
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(*(user.pw_gid,) * 3)
    os.setresuid(*(user.pw_uid,) * 3)
    assert last(unit, "NoNewPrivileges") == "yes"
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    environment = variables(unit, user, extra)
    install_filter(calls)
    os.execve(command[0], command, environment)
