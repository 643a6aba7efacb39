# install.sh, over it the package, and back.
device() {
    local source=$root/root/source
    mkdir -p "$source/target/release"
    cp -r install.sh packaging "$source"
    [ ! -e target/manual ] || cp -r target/manual "$source/target"
    dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/bin/heartbeat-daemon >"$source/target/release/heartbeat-daemon"
    chmod 755 "$source/target/release/heartbeat-daemon"
}
new_device device
before=$(inventory)
mkdir -p "$root/etc/heartbeat-daemon"
configured https://server.test/self-made
for time in first second; do
    shell 'umask 077; exec /root/source/install.sh' >"$work/said" 2>&1 || fail "install.sh: $(cat "$work/said")"
    check "install.sh runs the $time time" said 'Active: active (running)'
    check '  and keeps the configuration' setting self-made
done
beat_arrives '  the service sends'
check '  its own user' [ "$(property User)" = heartbeat-daemon ]
check '  verify is silent here, too' [ -z "$(inside systemd-analyze verify --man=no $service 2>&1)" ]
inside systemctl stop $service
inside /root/source/install.sh >"$work/said" 2>&1 || fail "install.sh: $(cat "$work/said")"
check '  stopped, it stays so' eval '! active'
install 'the package over it' first.deb
check '  also under the package' eval '! active'
inside systemctl start $service
check '  runs in its place' [ "$(inside readlink "/proc/$(property MainPID)/exe")" = /usr/bin/heartbeat-daemon ]
check '  nothing is left below /usr/local' [ -z "$(inside find /usr/local -name '*heartbeat*')" ]
check '  the configuration stays' setting self-made
beat_arrives '  and it sends'
check 'install.sh over the package says what to do' eval '! inside /root/source/install.sh >"$work/said" 2>&1 && said "remove it first"'
inside dpkg -r heartbeat-daemon >/dev/null 2>&1
inside /root/source/install.sh >"$work/said" 2>&1 || fail "install.sh: $(cat "$work/said")"
check 'install.sh after the package runs' [ "$(inside readlink "/proc/$(property MainPID)/exe")" = /usr/local/bin/heartbeat-daemon ]
beat_arrives '  and sends'
inside dpkg -P heartbeat-daemon >"$work/said" 2>&1 || fail "purge: $(cat "$work/said")"
check '  and goes on when the package is purged' ours
check '  with its configuration' setting self-made
inside /root/source/install.sh --uninstall --purge >"$work/said" 2>&1 || fail "$(cat "$work/said")"
left=$(diff <(echo "$before") <(inventory) || true)
check 'uninstalled, nothing is left' [ -z "$(grep '^[<>]' <<<"$left" || true)" ]
