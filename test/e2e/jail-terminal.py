"""A shell with job control at a terminal of its own, in it a jailed command: says what became of it, line by line."""
import fcntl
import json
import os
import pty
import select
import shlex
import signal
import struct
import sys
import termios
import time

shell, single = (" ".join(map(shlex.quote, json.loads(words))) for words in sys.argv[1:])
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb"
    os.execvp("bash", ["bash", "--norc", "-i"])
seen = ""


def until(mark, seconds=40):
    """What came before it; ends all where it does not come."""
    global seen
    end = time.time() + seconds
    while mark not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.time()))
        if not ready:
            sys.stderr.write(f"waited for {mark!r} and saw {seen!r}")
            os.kill(pid, signal.SIGKILL)
            sys.exit(1)
        seen += os.read(terminal, 4096).decode(errors="replace")
    before, seen = seen.split(mark, 1)
    return before


def type_(text):
    os.write(terminal, text.encode())


def resize(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def say(text):
    print(text, flush=True)


resize(33, 101)
type_("PS1='out''side> '\n")
until("outside> ")
type_(shell + "\n")
time.sleep(0.2)
type_("PS1='in''side> '\n")
until("inside> ")
type_("stty size; trap 'stty size' WINCH\n")
until("33 101")
say("size 33 101")
until("inside> ")
resize(44, 55)
type_("true\n")
until("44 55")
say("size 44 55")
type_("sleep 300; echo code''is$?\n")
time.sleep(1)
type_("\x03")
until("inside> ")
type_("echo after''wards\n")
until("afterwards")
say("Ctrl-C")
type_("sleep 300\n")
time.sleep(1)
type_("\x1a")
until("Stopped")
say("stopped")
type_("fg\n")
time.sleep(0.5)
type_("\x03")
type_("echo again''there\n")
until("againthere")
say("goes on")
type_("exit 5\n")
until("outside> ")
type_("echo code''is$?\n")
say("code " + (until("\n") and until("codeis") and "" or "") + until("\r").strip())
until("outside> ")
type_(single + "\n")
until("ready\r")
type_("\x1a")
until("Stopped")
until("outside> ")
say("whole stopped")
type_("fg\n")
time.sleep(0.7)
type_("\x03")
before = until("outside> ")
say(f"interrupted {before.count('interrupted' + chr(13))}")
type_("echo code''is$?\n")
until("codeis")
say("code " + until("\r").strip())
type_("exit\n")
os.waitpid(pid, 0)
