#!/usr/bin/env python3
"""An emulated `/dev/i2c-N` with models of an INA219 and of a MAX17040 behind it, as a character device in user space.

    i2c_bus.py NUMBER STATE

STATE is a JSON file, read at each transfer, so that a test changes the hardware by replacing it:

    {"ina219": {"address": 65, "mv": 11980, "shunt_10uv": -400}, "max17040": {"mv": 3900, "percent": 80.5}}

A chip that is not named has no power: it does not acknowledge its address (EREMOTEIO, as i2c-bcm2835 says). Beside its
values, `"hang": true` holds the bus until the state says otherwise, `"error": "EIO"` fails each transfer with this error,
and `"converting": true` is an INA219 that has not measured since it got power.

The kernel's protocol is spoken directly (linux/fuse.h: CUSE_INIT, and FUSE_IOCTL with FUSE_IOCTL_RETRY), because Debian has
no Python binding of CUSE. The kernel's `i2c-stub` cannot take its place: it has no I2C_RDWR.
"""

import errno
import json
import os
import struct
import sys
import time

# linux/i2c-dev.h, linux/i2c.h
I2C_RETRIES, I2C_TIMEOUT, I2C_SLAVE, I2C_TENBIT, I2C_FUNCS = 0x701, 0x702, 0x703, 0x704, 0x705
I2C_SLAVE_FORCE, I2C_RDWR, I2C_PEC = 0x706, 0x707, 0x708
I2C_FUNC_I2C = 1
I2C_M_RD = 1
MESSAGES_MAX = 42
RDWR = struct.Struct("<QI4x")  # struct i2c_rdwr_ioctl_data: msgs, nmsgs
MESSAGE = struct.Struct("<HHH2xQ")  # struct i2c_msg: addr, flags, len, buf

# linux/fuse.h
FUSE_OPEN, FUSE_RELEASE, FUSE_INTERRUPT, FUSE_IOCTL = 14, 18, 36, 39
CUSE_UNRESTRICTED_IOCTL = 1
FUSE_IOCTL_RETRY = 4
REQUEST_MAX = 1 << 17

MAX17040_ADDRESS = 0x36
INA219_CONFIGURATION = 0x399F  # after power-up (SBOS448, table 6)


class Refused(Exception):
    """The transfer fails with this error."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


class Bus:
    """The chips, as the state file says."""

    def __init__(self, path: str):
        self.path = path
        self.pointers: dict[int, int] = {}

    def chip(self, address: int) -> tuple[dict, dict[int, int]]:
        """The chip at an address, and its registers of 16 bits."""
        with open(self.path, encoding="utf-8") as file:
            state = json.load(file)
        if (ina219 := state.get("ina219")) and ina219["address"] == address:
            # SBOS448: 10 uV of the shunt; 4 mV of the bus in bits 15 to 3, bit 1 is "conversion ready".
            ready = 0 if ina219.get("converting") else 2
            bus = ina219["mv"] // 4 << 3 | ready
            return ina219, {0: INA219_CONFIGURATION, 1: ina219["shunt_10uv"] & 0xFFFF, 2: bus}
        if (gauge := state.get("max17040")) and address == MAX17040_ADDRESS:
            # 1.25 mV per unit of the upper twelve bits are 78.125 uV of all sixteen; 1/256 % of its charge.
            return gauge, {2: round(gauge["mv"] * 1000 / 78.125), 4: round(gauge["percent"] * 256), 8: 2}
        raise Refused(errno.EREMOTEIO)

    def message(self, address: int, written: bytes | None, length: int) -> bytes:
        """A message of a transfer: what is written, or `None` to read so many bytes."""
        chip, registers = self.chip(address)
        while chip.get("hang"):
            time.sleep(0.05)
            chip, registers = self.chip(address)
        if name := chip.get("error"):
            raise Refused(getattr(errno, name))
        if written is not None:
            # The first byte selects a register. What is written into it is not kept.
            if written:
                self.pointers[address] = written[0]
            return b""
        value = registers.get(self.pointers.get(address, 0), 0)
        return (struct.pack(">H", value) * (length // 2 + 1))[:length]


class Device:
    """The character device."""

    def __init__(self, number: int, bus: Bus):
        self.bus = bus
        self.fuse = os.open("/dev/cuse", os.O_RDWR)
        request = os.read(self.fuse, REQUEST_MAX)
        _, _, unique = struct.unpack_from("<IIQ", request)
        major, minor = struct.unpack_from("<II", request, 40)
        # struct cuse_init_out: major, minor, unused, flags, max_read, max_write, dev_major, dev_minor, spare
        body = struct.pack("<8I40x", major, minor, 0, CUSE_UNRESTRICTED_IOCTL, 1 << 16, 1 << 16, 0, 0)
        self.reply(unique, body + f"DEVNAME=i2c-{number}\0".encode())

    def reply(self, unique: int, body: bytes = b"", error: int = 0) -> None:
        try:
            os.write(self.fuse, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        except OSError as failure:
            # The program that asked has gone away.
            if failure.errno != errno.ENOENT:
                raise

    def serve(self) -> None:
        while True:
            request = os.read(self.fuse, REQUEST_MAX)
            _, opcode, unique = struct.unpack_from("<IIQ", request)
            if opcode == FUSE_OPEN:
                self.reply(unique, struct.pack("<QII", 1, 0, 0))
            elif opcode == FUSE_IOCTL:
                _, _, command, argument, in_size, out_size = struct.unpack_from("<QIIQII", request, 40)
                self.ioctl(unique, command, argument, request[72 : 72 + in_size], out_size)
            elif opcode == FUSE_RELEASE:
                self.reply(unique)
            elif opcode != FUSE_INTERRUPT:
                self.reply(unique, error=errno.ENOSYS)

    def retry(self, unique: int, inputs: list[tuple[int, int]], outputs: list[tuple[int, int]]) -> None:
        """Asks the kernel to send the request again, with these areas of the program's memory."""
        body = struct.pack("<iIII", 0, FUSE_IOCTL_RETRY, len(inputs), len(outputs))
        self.reply(unique, body + b"".join(struct.pack("<QQ", *area) for area in inputs + outputs))

    def done(self, unique: int, output: bytes = b"", result: int = 0) -> None:
        self.reply(unique, struct.pack("<iIII", result, 0, 0, 0) + output)

    def ioctl(self, unique: int, command: int, argument: int, data: bytes, out_size: int) -> None:
        if command in (I2C_RETRIES, I2C_TIMEOUT, I2C_SLAVE, I2C_TENBIT, I2C_SLAVE_FORCE, I2C_PEC):
            # Settings of the file, which mean nothing for I2C_RDWR to addresses of seven bits.
            self.done(unique)
        elif command == I2C_FUNCS:
            if out_size:
                self.done(unique, struct.pack("<Q", I2C_FUNC_I2C))
            else:
                self.retry(unique, [], [(argument, 8)])
        elif command == I2C_RDWR:
            self.transfer(unique, argument, data, out_size)
        else:
            self.reply(unique, error=errno.ENOTTY)

    def transfer(self, unique: int, argument: int, data: bytes, out_size: int) -> None:
        """I2C_RDWR. The request comes with nothing, then with its struct, its messages, and all that they write and read."""
        inputs = [(argument, RDWR.size)]
        if len(data) < RDWR.size:
            return self.retry(unique, inputs, [])
        place, count = RDWR.unpack_from(data)
        if not 0 < count <= MESSAGES_MAX:
            return self.reply(unique, error=errno.EINVAL)
        inputs.append((place, count * MESSAGE.size))
        start = RDWR.size + count * MESSAGE.size
        if len(data) < start:
            return self.retry(unique, inputs, [])
        messages = [MESSAGE.unpack_from(data, RDWR.size + index * MESSAGE.size) for index in range(count)]
        outputs = [(buffer, length) for _, flags, length, buffer in messages if flags & I2C_M_RD]
        inputs += [(buffer, length) for _, flags, length, buffer in messages if not flags & I2C_M_RD]
        if len(data) < sum(length for _, length in inputs) or out_size < sum(length for _, length in outputs):
            return self.retry(unique, inputs, outputs)
        output = b""
        try:
            for address, flags, length, _ in messages:
                if flags & I2C_M_RD:
                    output += self.bus.message(address, None, length)
                else:
                    self.bus.message(address, data[start : start + length], length)
                    start += length
        except Refused as refused:
            return self.reply(unique, error=refused.code)
        self.done(unique, output, count)


if __name__ == "__main__":
    Device(int(sys.argv[1]), Bus(sys.argv[2])).serve()
