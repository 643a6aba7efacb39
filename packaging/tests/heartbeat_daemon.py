#!/usr/bin/env python3
"""Stands for the Python service of the same name: its constants, its pidfile and the file that it leaves in /tmp. It sends
nothing.

HEARTBEAT_URL = "https://not.this.one/"
"""
import os
import time

# Where heartbeats go.
HEARTBEAT_URL = "https://server.test/older"
HEARTBEAT_INTERVAL = 1  # seconds
REQUEST_TIMEOUT = 2.0
PIDFILE = "/tmp/heartbeat_daemon.pid"
STATE_FILE = "/tmp/rpi_streamer_heartbeat.json"

with open(PIDFILE, "w") as pidfile:
    pidfile.write(str(os.getpid()))
while True:
    with open(STATE_FILE + ".tmp", "w") as state:
        state.write('{"hardwareid": "024200c0ffee", "timestamp": %f}' % time.time())
    os.rename(STATE_FILE + ".tmp", STATE_FILE)
    time.sleep(HEARTBEAT_INTERVAL)
