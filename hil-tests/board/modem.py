#!/usr/bin/env python3
"""A scripted AT modem (3GPP TS 27.007), for a real ModemManager.

    modem.py SOCKET STATE

It listens at a Unix socket, to which QEMU connects the USB serial adapter of the guest: ModemManager asks only devices that
udev knows, and a pseudo-terminal is none. The modem is registered in its home network "Heartbeat Mobile" by LTE. The JSON
file STATE is read at each command and once a second:

    {"registered": true, "signal": 25}

`signal` is that of AT+CSQ, 0 to 31. A modem that is not registered searches. It reports each change of that by itself,
because ModemManager does not ask a modem for it that has accepted AT+CREG=2.
"""

import json
import select
import socket
import sys

ANSWERS = {
    "AT": "",
    "ATE0": "",
    "ATV1": "",
    "ATZ": "",
    "AT&F": "",
    "ATI": "Heartbeat\r\nScripted modem\r\nRevision: 1",
    "AT+GMI": "Heartbeat",
    "AT+CGMI": "Heartbeat",
    "AT+GMM": "Scripted modem",
    "AT+CGMM": "Scripted modem",
    "AT+GMR": "1",
    "AT+CGMR": "1",
    "AT+GSN": "490154203237518",
    "AT+CGSN": "490154203237518",
    "AT+CIMI": "001010123456789",
    "AT+GCAP": "+GCAP: +CGSM,+CLTE2",
    "AT+CPIN?": "+CPIN: READY",
    "AT+CFUN?": "+CFUN: 1",
    "AT+CGDCONT=?": "+CGDCONT: (1-16),\"IP\",,,(0-2),(0-4)",
    "AT+CGDCONT?": "",
    "AT+CGACT?": "+CGACT: 1,0",
    "AT+CNUM": "",
    "AT+WS46=?": "+WS46: (12,22,25,28,29)",
}
# What is set is accepted.
SETTINGS = ("ATE", "ATX", "AT&C", "AT&D", "AT+CREG=", "AT+CGREG=", "AT+CEREG=", "AT+CFUN=", "AT+CMEE=", "AT+COPS=3,")


# Circuit-switched, packet-switched, LTE.
REGISTRATIONS = ("CREG", "CGREG", "CEREG")


def registration(registered: bool) -> str:
    """1 is registered at home, 2 searches; 7 is LTE."""
    return '1,"0001","00000001",7' if registered else "2"


def network(by_name: bool, registered: bool, signal: int) -> dict[str, str]:
    """What the modem says about its network, the operator by its name or by its number."""
    answers = {f"AT+{kind}?": f"+{kind}: 2,{registration(registered)}" for kind in REGISTRATIONS}
    operator = '0,0,"Heartbeat Mobile",7' if by_name else '0,2,"00101",7'
    answers["AT+COPS?"] = f"+COPS: {operator if registered else 0}"
    answers["AT+CSQ"] = f"+CSQ: {signal},99"
    return answers


class Modem:
    """The modem, as the state file says."""

    def __init__(self, path: str):
        self.path = path
        self.by_name = True
        self.registered = self.state()["registered"]

    def state(self) -> dict:
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)

    def report(self) -> str:
        """What it says by itself: that its registration has changed."""
        registered = self.state()["registered"]
        if registered == self.registered:
            return ""
        self.registered = registered
        return "".join(f"\r\n+{kind}: {registration(registered)}\r\n" for kind in REGISTRATIONS)

    def answer(self, command: str) -> str:
        if command.startswith("AT+COPS=3,"):
            self.by_name = command == "AT+COPS=3,0"
        answers = ANSWERS | network(self.by_name, **self.state())
        if command in answers:
            body = answers[command]
        elif command.startswith(SETTINGS) and not command.endswith("?"):
            body = ""
        else:
            return "\r\nERROR\r\n"
        return (f"\r\n{body}\r\n" if body else "") + "\r\nOK\r\n"


def main() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(1)
        terminal, _ = listener.accept()
    modem = Modem(sys.argv[2])
    pending = ""
    while True:
        readable, _, _ = select.select([terminal], [], [], 1)
        if readable:
            received = terminal.recv(4096)
            if not received:
                break
            pending += received.decode("ascii", "replace")
        elif report := modem.report():
            terminal.sendall(report.encode())
        while "\r" in pending:
            command, pending = pending.split("\r", 1)
            if command.strip():
                terminal.sendall(modem.answer(command.strip().upper()).encode())


main()
