/* What the library costs between two processes, over shared memory and TCP, beside its rivals, in one run. */
#include "bench.h"
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Each contestant has so many turns, one after the other, so that none has the quiet time alone. */
enum { TURNS = 5 };

mcapi_status_t st;

void give_up(const char* file, int line, mcapi_status_t status)
{
    char text[64];
    fprintf(stderr, "%s:%d: %s\n", file, line, mcapi_display_status(status, text, sizeof text));
    exit(1);
}

uint64_t nanos(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void use_processor(int which)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(which % sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
}

void two(void (*there)(void*), void (*here)(void*), void* with)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        use_processor(1);
        there(with);
        exit(0);
    }
    use_processor(0);
    here(with);
    MUST(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        exit(1);
}

void add(series* to, uint64_t time)
{
    if (to->number == to->room) {
        to->room = to->room ? 2 * to->room : 1 << 20;
        to->times = realloc(to->times, to->room * sizeof *to->times);
        MUST(to->times);
    }
    to->times[to->number++] = time;
}

static int by_time(const void* a, const void* b)
{
    uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
    return x < y ? -1 : x > y;
}

double print(series* of)
{
    return print_each(of, 1);
}

double print_each(series* of, double divisor)
{
    qsort(of->times, of->number, sizeof *of->times, by_time);
    size_t last = of->number - 1;
    const size_t places[] = { 0, last / 2, last / 100 * 99, last };
    printf("  %-52s", of->name);
    for (size_t n = 0; n < 4; n++)
        printf(" %9.2f", (double)of->times[places[n]] / 1000 / divisor);
    printf("\n");
    return (double)of->times[last / 2] / divisor;
}

void verdict(const char* what, double ratio, const char* rival, const char* sign, double aim)
{
    int met = sign[0] == '<' ? ratio <= aim : ratio >= aim;
    printf("  %-3s %s / %s: %.2f (aim %s %.4g)\n", met ? "ok" : "NO", what, rival, ratio, sign, aim);
}

size_t answer(const way* of)
{
    return of->answer ? of->answer : of->bytes;
}

void measure(way* of)
{
    MUST(of->fds[0] || socketpair(AF_UNIX, SOCK_STREAM, 0, of->fds) == 0);
    if (of->topology)
        MUST(setenv("MCAPI_TOPOLOGY", of->topology, 1) == 0);
    two(of->there, of->here, of);
    unsetenv("MCAPI_TOPOLOGY");
}

static void heading(const char* text)
{
    printf("\n%-54s %9s %9s %9s %9s\n", text, "min", "median", "p99", "max");
}

enum { SPIN_64, SPIN_8, PACKET, SCALAR, MESSAGE, QUEUE, SOCKET, WAYS };

static void round_trips(int asleep)
{
    volatile uint64_t* shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    const int fast = asleep ? 300 : 20000, slow = asleep ? 300 : 2000;
    way ways[WAYS] = {
        [SPIN_64] = { { .name = "64 B, shared memory, both spin" }, 64, 0, asleep, 0, fast, shared_memory_there, shared_memory_here, { 0 }, shared, NULL },
        [SPIN_8] = { { .name = "8 B, shared memory, both spin" }, 8, 0, asleep, 0, fast, shared_memory_there, shared_memory_here, { 0 }, shared, NULL },
        [PACKET] = { { .name = "64 B, MCAPI packets" }, 64, 0, asleep, 0, fast, packet_there, packet_here, { 0 }, NULL, NULL },
        [SCALAR] = { { .name = "8 B, MCAPI scalars" }, 8, 0, asleep, 0, fast, scalar_there, scalar_here, { 0 }, NULL, NULL },
        [MESSAGE] = { { .name = "64 B, MCAPI messages" }, 64, 0, asleep, 0, fast, message_there, message_here, { 0 }, NULL, NULL },
        [QUEUE] = { { .name = "64 B, POSIX message queue" }, 64, 0, asleep, 0, slow, queue_there, queue_here, { 0 }, NULL, NULL },
        [SOCKET] = { { .name = "64 B, Unix socket" }, 64, 0, asleep, 0, slow, socket_there, socket_here, { 0 }, NULL, NULL },
    };
    double median[WAYS] = { 0 };
    for (int turn = 0; turn < TURNS; turn++)
        for (int n = asleep ? PACKET : 0; n < WAYS; n++)
            measure(&ways[n]);
    heading(asleep ? "round trips after 300 us of silence: all sleep, us" : "round trips one after the other, us");
    for (int n = asleep ? PACKET : 0; n < WAYS; n++)
        median[n] = print(&ways[n].times);
    if (!asleep) {
        verdict("packets", median[PACKET] / median[SPIN_64], "shared memory", "<=", 2);
        verdict("scalars", median[SCALAR] / median[SPIN_8], "shared memory", "<=", 2);
    }
    for (int n = PACKET; n <= MESSAGE; n++) {
        const char* names[] = { [PACKET] = "packets", [SCALAR] = "scalars", [MESSAGE] = "messages" };
        verdict(names[n], median[n] / median[QUEUE], "message queue", "<=", 0.5);
        verdict(names[n], median[n] / median[SOCKET], "Unix socket", "<=", 0.5);
    }
}

/* Two machines that are this one, at ports that nobody else is likely to have. */
static const char* two_machines(void)
{
    static char path[64];
    strcpy(path, "/tmp/understudy-bench-XXXXXX.yaml");
    int file = mkstemps(path, 5), process = (int)getpid();
    MUST(file >= 0);
    MUST(dprintf(file,
             "name: bench\nnodes:\n"
             "  a: { role: compute, address: 127.%d.%d.1, mcapi: [1] }\n"
             "  b: { role: compute, address: 127.%d.%d.2, mcapi: [2] }\n"
             "runtime: { transport: tcp }\n",
             64 + process / 256 % 128, process % 256, 64 + process / 256 % 128, process % 256)
        > 0);
    close(file);
    return path;
}

enum { RAW_24, LOOKING_24, OURS_24, RAW_PAGE, LOOKING_PAGE, OURS_PAGE, TCP_WAYS };

static void over_tcp(int asleep)
{
    static const char* const names[TCP_WAYS] = {
        "24 B, TCP",
        "24 B, TCP, both look all the time",
        "24 B, MCAPI packets over TCP",
        "24 B and a page of 4 KiB, TCP",
        "24 B and a page of 4 KiB, TCP, both look",
        "24 B and a page of 4 KiB, MCAPI packets over TCP",
    };
    const char* topology = two_machines();
    way ways[TCP_WAYS];
    double median[TCP_WAYS] = { 0 };
    memset(ways, 0, sizeof ways);
    for (int turn = 0; turn < TURNS; turn++)
        for (int n = 0; n < TCP_WAYS; n++) {
            way* of = &ways[n];
            int ours = n % 3 == OURS_24;
            of->times.name = names[n];
            of->bytes = 24;
            of->answer = n >= RAW_PAGE ? 4096 : 0;
            of->asleep = asleep;
            of->looks = n % 3 == LOOKING_24;
            of->rounds = asleep ? 300 : 2000;
            of->there = ours ? packet_there : socket_there;
            of->here = ours ? packet_here : socket_here;
            of->topology = ours ? topology : NULL;
            if (asleep && of->looks)
                continue;
            if (!ours && !of->fds[0])
                connect_tcp(of);
            measure(of);
        }
    unlink(topology);
    heading(asleep ? "round trips over TCP after 300 us of silence, us" : "round trips over TCP, one after the other, us");
    for (int n = 0; n < TCP_WAYS; n++)
        if (ways[n].times.number > 0)
            median[n] = print(&ways[n].times);
    verdict("24 B, MCAPI", median[OURS_24] / median[RAW_24], "TCP", "<=", 1.05);
    verdict("page, MCAPI", median[OURS_PAGE] / median[RAW_PAGE], "TCP", "<=", 1.03);
    if (!asleep)
        printf("      beside TCP of which both sides look all the time: %.2f and %.2f\n",
            median[OURS_24] / median[LOOKING_24], median[OURS_PAGE] / median[LOOKING_PAGE]);
}

enum { MESSAGES, PACKETS, PAGES, LARGE, READ, BARE, BARE_READ, COPIES, STREAMS };

static void streams(void)
{
    volatile uint64_t* shared = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(shared != MAP_FAILED);
    stream all[STREAMS] = {
        [MESSAGES] = { 1, 64, 400000, 4000, { .name = "64 B messages" }, NULL, 0 },
        [PACKETS] = { 0, 64, 400000, 4000, { .name = "64 B packets" }, NULL, 0 },
        [PAGES] = { 0, 4096, 100000, 1000, { .name = "4 KiB packets" }, NULL, 0 },
        [LARGE] = { 0, 65536, 10000, 100, { .name = "64 KiB packets" }, NULL, 0 },
        [READ] = { 0, 65536, 10000, 100, { .name = "64 KiB packets, each byte read" }, NULL, 1 },
        [BARE] = { 0, 65536, 10000, 100, { .name = "64 KiB, one process copies in, the other out" }, shared, 0 },
        [BARE_READ] = { 0, 65536, 10000, 100, { .name = "64 KiB, one process copies in, the other reads" }, shared, 1 },
        [COPIES] = { 0, 65536, 0, 100, { .name = "64 KiB, memcpy" }, NULL, 0 },
    };
    double median[STREAMS];
    for (int turn = 0; turn < TURNS; turn++) {
        for (int n = 0; n < BARE; n++)
            two(stream_there, stream_here, &all[n]);
        for (int n = BARE; n < COPIES; n++)
            two(blocks_there, blocks_here, &all[n]);
        copy_memory(&all[COPIES].times, all[COPIES].bytes, (int)all[COPIES].at_a_time);
    }
    heading("one way, as fast as it goes, us for each");
    for (int n = 0; n < STREAMS; n++)
        median[n] = print_each(&all[n].times, (double)all[n].at_a_time);
    for (int n = MESSAGES; n <= PACKETS; n++) {
        double fastest = (double)all[n].times.times[0] / (double)all[n].at_a_time;
        printf("  %s: %.2f million a second, %.2f at best\n", all[n].times.name, 1e3 / median[n], 1e3 / fastest);
        verdict(all[n].times.name, 1e3 / median[n], "million a second", ">=", 5);
    }
    printf("  64 KiB packets: %.2f GB/s, memcpy: %.2f GB/s\n", 65536 / median[LARGE], 65536 / median[COPIES]);
    verdict("64 KiB packets", median[COPIES] / median[LARGE], "memcpy", ">=", 0.5);
    printf("      beside bytes that one process copies in and the other out: %.2f\n", median[BARE] / median[LARGE]);
    printf("      each byte read, beside bytes that one process copies in and the other reads there: %.2f\n",
        median[BARE_READ] / median[READ]);
}

static void many(void)
{
    const int pending[] = { 1, 10, 100, 1000 };
    double median[4];
    char names[4][64];
    waiting all[4];
    memset(all, 0, sizeof all);
    for (int turn = 0; turn < TURNS; turn++)
        for (int n = 0; n < 4; n++) {
            all[n].pending = pending[n];
            all[n].rounds = 4000;
            two(waiting_there, waiting_here, &all[n]);
        }
    heading("a message there, its answer at any of N by wait_any, us");
    for (int n = 0; n < 4; n++) {
        snprintf(names[n], sizeof names[n], "N = %d", pending[n]);
        all[n].times.name = names[n];
        median[n] = print(&all[n].times);
    }
    verdict("1000 pending", median[3] / median[0], "1 pending", "<=", 1.2);
}

int main(int argc, char** argv)
{
    const char* only = argc > 1 ? argv[1] : "";
    if (!*only || !strcmp(only, "fast"))
        round_trips(0);
    if (!*only || !strcmp(only, "asleep"))
        round_trips(1);
    if (!*only || !strcmp(only, "tcp"))
        for (int asleep = 0; asleep < 2; asleep++)
            over_tcp(asleep);
    if (!*only || !strcmp(only, "streams"))
        streams();
    if (!*only || !strcmp(only, "many"))
        many();
    return 0;
}
