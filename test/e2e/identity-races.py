"""Processes that connect and then end, become another program or share the socket at a random moment.

racer.py PORT COUNT SEED: every process begins as "racer"; those that run another program become "sleep".
Each sends its kind as one byte right after it has connected.
"""
import os, random, socket, sys, time

port, count, seed = (int(argument) for argument in sys.argv[1:])
random.seed(seed)
SLEEP = ["sleep", "0.05"]


def race(kind, delay):
    end = socket.socket()
    if kind in "ac":
        end.set_inheritable(True)
    end.connect(("127.0.0.1", port))
    if kind == "c" and os.fork() == 0:
        os.execvp("sleep", SLEEP)
    if kind != "f":
        end.sendall(kind.encode())
    if delay > 0:
        time.sleep(delay)
    if kind in "abf":
        os.execvp("sleep", SLEEP)
    if kind in "ce":
        end.recv(1)


with open("/proc/self/comm", "w") as name:
    name.write("racer")
running = 0
for number in range(count):
    # a: exec with the socket kept, b: exec with it closed, c: a child that runs another program has it too, d: an end,
    # e: nothing at all, f: exec with the socket closed and before a word was said
    kind, delay = random.choice("abcdef"), random.choice((0, random.random() * 0.004))
    if os.fork() == 0:
        try:
            race(kind, delay)
        finally:
            os._exit(0)
    running += 1
    if running >= 12:
        os.wait()
        running -= 1
while running > 0:
    os.wait()
    running -= 1
