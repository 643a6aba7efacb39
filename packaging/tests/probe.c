/* Tries from within a sandbox what must not be possible there, and prints "can X" or "cannot X" for each attempt. Run it
 * in a container only: outside of a sandbox it does what it tries.
 *
 * A static program, because it stands in the place of the daemon, which is the only program that may run there. The test has
 * put copies of it into several directories; called with `copy`, it does nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(const char *what, int possible) {
    printf("%s %s\n", possible ? "can" : "cannot", what);
    fflush(stdout);
}

/* Whether a new file can be made in a directory. */
static int writable(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/probe-%d", directory, (int)getpid());
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0755);
    if (fd < 0)
        return 0;
    int written = write(fd, "x", 1) == 1;
    close(fd);
    unlink(path);
    return written;
}

/* Whether a program runs and exits with 0. */
static int runs(const char *path, int fd) {
    pid_t child = fork();
    if (child < 0)
        return 0;
    if (child == 0) {
        char *const arguments[] = {"probe", "copy", NULL};
        char *const environment[] = {NULL};
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        if (fd >= 0)
            syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH);
        else
            execve(path, arguments, environment);
        _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Copies this program to a descriptor. */
static int copy_to(int to) {
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY);
    ssize_t got = -1;
    while (from >= 0 && (got = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, got) != got)
            return 0;
    if (from >= 0)
        close(from);
    return got == 0;
}

/* Whether a copy of this program that it writes itself into a directory can be run. */
static int runs_own_copy(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/own-copy-%d", directory, (int)getpid());
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0755);
    if (fd < 0)
        return 0;
    int copied = copy_to(fd);
    close(fd);
    int ran = copied && runs(path, -1);
    unlink(path);
    return ran;
}

static int runs_memfd(void) {
    int fd = syscall(SYS_memfd_create, "probe", 0);
    return fd >= 0 && copy_to(fd) && runs(NULL, fd);
}

static int io_uring(void) {
    struct io_uring_params parameters = {0};
    int fd = syscall(SYS_io_uring_setup, 1, &parameters);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A socket bound to a port of this machine that others know. */
static int bound(int type, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static int opens_socket(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int reads(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    int got = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0)
        close(fd);
    return got;
}

/* In a child of its own, because it changes the process. */
static int in_child(int (*attempt)(void)) {
    pid_t child = fork();
    if (child == 0)
        _exit(attempt() ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int becomes_root(void) { return setresuid(0, 0, 0) == 0 && getuid() == 0; }
static int new_namespace(void) { return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNET) == 0; }
static int mounts(void) { return mount("none", "/tmp", "tmpfs", 0, NULL) == 0 && umount2("/tmp", MNT_DETACH) == 0; }
static int realtime(void) {
    struct sched_param parameters = {.sched_priority = 1};
    return sched_setscheduler(0, SCHED_FIFO, &parameters) == 0;
}
static int sets_clock(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    return settimeofday(&now, NULL) == 0;
}
static int traces(void) { return ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0; }

static int runs_by_loader(void) {
    char *const arguments[] = {"loader", "/bin/true", NULL};
    char *const environment[] = {NULL};
    dup2(open("/dev/null", O_WRONLY), 2);
    execve("/lib64/ld-linux-x86-64.so.2", arguments, environment);
    return 0;
}

static int makes_suid(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/suid-%d", directory, (int)getpid());
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0700);
    int made = fd >= 0 && fchmod(fd, 04755) == 0;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return made;
}

static int makes_device(const char *directory) {
    char path[256];
    snprintf(path, sizeof path, "%s/device-%d", directory, (int)getpid());
    int made = mknod(path, S_IFBLK | 0600, makedev(8, 0)) == 0;
    unlink(path);
    return made;
}

/* A path, or a name in the abstract namespace (unix(7)), which begins with @. */
static int connects(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (path[0] == '@')
        address.sun_path[0] = 0;
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int connected = fd >= 0 && connect(fd, (struct sockaddr *)&address, length) == 0;
    if (fd >= 0)
        close(fd);
    return connected;
}

static int writes_code(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "copy") == 0)
        return 0;
    const char *runtime = getenv("RUNTIME_DIRECTORY"), *state = getenv("STATE_DIRECTORY");
    if (!runtime)
        runtime = "/run/heartbeat-daemon";
    if (!state)
        state = "/var/lib/heartbeat-daemon";

    const char *directories[] = {"/etc",       "/usr/bin", "/boot",     "/var/lib", "/var/log", "/tmp", "/var/tmp",
                                 "/dev",      "/dev/shm", "/home",    "/home/pi", "/root",    "/run", "/run/lock",
                                 "/run/user",  "/run/user/1000",        "/run/heartbeat-daemon-dev",  "/sys/fs/cgroup"};
    char what[256];
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        snprintf(what, sizeof what, "write in %s", directories[i]);
        report(what, writable(directories[i]));
    }
    report("write in its runtime directory", writable(runtime));
    report("write in its state directory", writable(state));
    int tunable = open("/proc/sys/kernel/hostname", O_WRONLY);
    report("write kernel tunables", tunable >= 0);

    report("run programs of the system", runs("/bin/true", -1));
    report("run programs of the system through the dynamic loader", in_child(runs_by_loader));
    report("run vcgencmd", runs("/usr/bin/vcgencmd", -1));
    /* The test has put copies there from outside. */
    const char *copies[] = {"/tmp", "/var/tmp", "/dev/shm", "/home/pi", "/run/lock", "/run/user/1000"};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/probe-copy", copies[i]);
        snprintf(what, sizeof what, "run programs from %s", copies[i]);
        report(what, runs(path, -1) || runs_own_copy(copies[i]));
    }
    report("run programs from its runtime directory", runs_own_copy(runtime));
    report("run programs from its state directory", runs_own_copy(state));
    report("run programs from memory (memfd)", runs_memfd());
    report("map memory that is writable and executable", writes_code());

    report("read a file in another user's home", reads("/home/other/file"));
    report("read keys in the home of pi", reads("/home/pi/.ssh/id_ed25519"));
    report("reach a server of pi in /tmp", connects("/tmp/tmux-1000/default"));
    report("reach a server of pi in the abstract namespace", connects("@pi"));
    report("reach D-Bus of pi", connects("/run/user/1000/bus"));
    report("reach D-Bus of the system", connects("/run/dbus/system_bus_socket"));
    report("reach the private socket of systemd", connects("/run/systemd/private"));
    report("read disks and memory", reads("/dev/vda") || reads("/dev/sda") || reads("/dev/mem") || reads("/dev/probe-disk"));
    report("open terminals", reads("/dev/console") || open("/dev/tty0", O_RDWR) >= 0 || open("/dev/pts/0", O_RDWR) >= 0);

    report("use io_uring", io_uring());
    int tcp = bound(SOCK_STREAM, 9998);
    report("listen for connections", tcp >= 0 && listen(tcp, 1) == 0);
    report("receive UDP on a port of its choice", bound(SOCK_DGRAM, 9999) >= 0);
    report("open raw sockets", opens_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) || opens_socket(AF_PACKET, SOCK_RAW, 0));
    report("open sockets of other families", opens_socket(AF_VSOCK, SOCK_STREAM, 0) || opens_socket(AF_ALG, SOCK_SEQPACKET, 0)
                                                || opens_socket(AF_BLUETOOTH, SOCK_RAW, 1));

    report("become root", in_child(becomes_root));
    report("make namespaces", in_child(new_namespace));
    report("mount", in_child(mounts));
    report("make setuid files", makes_suid(runtime) || makes_suid(state) || makes_suid("/tmp"));
    report("make device files", makes_device(runtime) || makes_device("/tmp"));
    report("signal processes of others", kill(1, 0) == 0);
    report("trace processes", in_child(traces));
    report("use the keyring", syscall(SYS_add_key, "user", "probe", "x", 1, -3 /* session */) >= 0);
    report("load BPF programs", syscall(SYS_bpf, 0, NULL, 0) < 0 && errno != EPERM && errno != ENOSYS);
    report("set the clock", in_child(sets_clock));
    report("get realtime priority", in_child(realtime));
    return 0;
}
