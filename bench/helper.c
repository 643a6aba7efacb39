/*
 * Stands for each helper program of the Python service: prints what the real one prints on a Raspberry Pi, at once. What it
 * is depends on the name that it is called by. The real ones cost more: vcgencmd asks the firmware, mmcli a daemon.
 */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "vcgencmd") && !strcmp(what, "measure_temp"))
        puts("temp=48.8'C");
    else if (!strcmp(name, "vcgencmd"))
        puts("   VDD_CORE_A current(7)=1.35752000A\n   VDD_CORE_V volt(15)=0.84104930V");
    else if (!strcmp(name, "ip") && !strcmp(what, "route"))
        puts("default via 192.168.1.1 dev wlan0 proto dhcp metric 600");
    else if (!strcmp(name, "ip"))
        puts("4: wwan0    inet 10.64.12.7/28 scope global wwan0");
    else if (!strcmp(name, "nmcli") && argc > 3 && strstr(argv[3], "SIGNAL"))
        puts("yes:preconfigured:72");
    else if (!strcmp(name, "nmcli"))
        puts("preconfigured:wlan0\nWired connection 1:eth0");
    else if (!strcmp(name, "iwgetid"))
        puts("preconfigured");
    else if (!strcmp(name, "iw"))
        puts("Interface wlan0\n\ttype managed\n\tssid preconfigured");
    else if (!strcmp(name, "mmcli") && !strcmp(what, "-L"))
        puts("{\"modem-list\":[\"/org/freedesktop/ModemManager1/Modem/0\"]}");
    else if (!strcmp(name, "mmcli"))
        puts("{\"modem\":{\"3gpp\":{\"operator-name\":\"vodafone UK\"},\"generic\":{\"state\":\"connected\","
             "\"access-technologies\":[\"lte\"],\"signal-quality\":{\"value\":\"70\"}}}}");
    return 0;
}
