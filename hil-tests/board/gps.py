#!/usr/bin/env python3
"""A GPS receiver (NMEA 0183) on a pseudo-terminal, for a real gpsd: `gps.py LINK STATE`.

It has a 3D fix near Munich, unless the JSON file STATE says `{"fix": false}`. It is read each second.
"""

import datetime
import functools
import json
import operator
import os
import sys
import time
import tty


def sentence(body: str) -> bytes:
    """With its checksum."""
    checksum = functools.reduce(operator.xor, body.encode(), 0)
    return f"${body}*{checksum:02X}\r\n".encode()


def report(fix: bool) -> list[str]:
    """What the receiver says in a second."""
    now = datetime.datetime.now(datetime.timezone.utc)
    clock, day = now.strftime("%H%M%S.00"), now.strftime("%d%m%y")
    satellites = "04,40,083,46,05,17,308,41,09,07,344,39,12,22,228,45"
    if not fix:
        return [
            f"GPGGA,{clock},,,,,0,00,,,M,,M,,",
            "GPGSA,A,1,,,,,,,,,,,,,,,",
            f"GPGSV,1,1,04,{satellites}",
            f"GPRMC,{clock},V,,,,,,,{day},,,N",
        ]
    place = "4807.0380,N,01131.0000,E"
    return [
        f"GPGGA,{clock},{place},1,08,0.9,545.4,M,46.9,M,,",
        "GPGSA,A,3,04,05,09,12,,,,,,,,,2.5,1.3,2.1",
        f"GPGSV,1,1,04,{satellites}",
        f"GPRMC,{clock},A,{place},022.4,084.4,{day},,,A",
    ]


def main() -> None:
    receiver, terminal = os.openpty()
    tty.setraw(terminal)
    link = sys.argv[1]
    if os.path.islink(link):
        os.unlink(link)
    os.symlink(os.ttyname(terminal), link)
    os.set_blocking(receiver, False)
    while True:
        with open(sys.argv[2], encoding="utf-8") as file:
            fix = json.load(file)["fix"]
        try:
            # What gpsd writes to probe the receiver is not answered.
            while os.read(receiver, 4096):
                pass
        except BlockingIOError:
            pass
        try:
            os.write(receiver, b"".join(map(sentence, report(fix))))
        except BlockingIOError:
            # gpsd does not read it.
            pass
        time.sleep(1)


main()
