/* Sections 4.5 and 4.6 at random: three nodes, whose one endpoint each is an end of a channel after another, of either kind, connected
 * by anybody, opened and closed in any order. They tell each other past MCAPI that a round is over, and nothing else. Nothing
 * is lost, doubled or out of order, and at the end nothing is left. */
#include "check.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define ROUNDS 300
#define NODES 3
#define LARGEST 40000

/* The last round that a node is through with. */
static atomic_uint* over;
static unsigned seed;

/* What all nodes roll alike. */
enum { FROM, TO, BY, KIND, MANY, COUNT, ALL, TAKES, EARLY, SIZES, SIZE, TESTS };
static unsigned roll(unsigned round, unsigned what)
{
    unsigned x = (round + seed * 7919) * 2654435761u ^ what * 40503u;
    x = (x ^ x >> 13) * 0x5bd1e995u;
    x = (x ^ x >> 15) * 0x5bd1e995u;
    return x ^ x >> 13;
}

struct round {
    unsigned number, from, to, by, count, takes;
    int scalar;
};

static struct round draw(unsigned number)
{
    struct round r = { .number = number };
    r.from = 1 + roll(number, FROM) % NODES;
    r.to = 1 + (r.from + roll(number, TO) % (NODES - 1)) % NODES;
    r.by = 1 + roll(number, BY) % NODES;
    r.scalar = roll(number, KIND) % 3 == 0;
    r.count = roll(number, COUNT) % (roll(number, MANY) % 5 == 0 ? 200 : 8);
    r.takes = roll(number, ALL) % 2 ? r.count : roll(number, TAKES) % (r.count + 1);
    return r;
}

static size_t size_of(const struct round* r, unsigned n)
{
    unsigned most = roll(r->number, SIZES) % 4 == 0 ? LARGEST : 100;
    return sizeof n + roll(r->number * 1000 + n, SIZE) % (most - sizeof n);
}

static void wait_for_all(unsigned round)
{
    int n;
    for (n = 1; n <= NODES; n++)
        while (atomic_load(&over[n]) < round)
            sched_yield();
}

static void open_end(const struct round* r, int sends, mcapi_endpoint_t mine, uint32_t* end, mcapi_request_t* request)
{
    if (r->scalar && sends)
        mcapi_sclchan_send_open_i(end, mine, request, &st);
    else if (r->scalar)
        mcapi_sclchan_recv_open_i(end, mine, request, &st);
    else if (sends)
        mcapi_pktchan_send_open_i(end, mine, request, &st);
    else
        mcapi_pktchan_recv_open_i(end, mine, request, &st);
    OK;
}

static void close_end(const struct round* r, int sends, uint32_t end, mcapi_request_t* request)
{
    if (r->scalar && sends)
        mcapi_sclchan_send_close_i(end, request, &st);
    else if (r->scalar)
        mcapi_sclchan_recv_close_i(end, request, &st);
    else if (sends)
        mcapi_pktchan_send_close_i(end, request, &st);
    else
        mcapi_pktchan_recv_close_i(end, request, &st);
    OK;
}

static void send_all(const struct round* r, uint32_t end)
{
    char data[LARGEST];
    unsigned n;
    for (n = 0; n < r->count; n++) {
        memset(data, (int)n, sizeof data);
        memcpy(data, &n, sizeof n);
        do {
            if (r->scalar)
                mcapi_sclchan_send_uint64(end, r->number * 1000ull + n, &st);
            else
                mcapi_pktchan_send(end, data, size_of(r, n), &st);
        } while (st == MCAPI_ERR_MEM_LIMIT && sched_yield() == 0);
        if (st == MCAPI_ERR_CHAN_INVALID && r->takes < r->count)
            return;
        OK;
    }
}

static void take(const struct round* r, uint32_t end)
{
    unsigned n;
    for (n = 0; n < r->takes; n++) {
        char* packet;
        size_t size;
        if (r->scalar) {
            CHECK(mcapi_sclchan_recv_uint64(end, &st) == r->number * 1000ull + n);
            OK;
            continue;
        }
        mcapi_pktchan_recv(end, (void**)&packet, &size, &st);
        OK;
        CHECK(size == size_of(r, n) && memcmp(packet, &n, sizeof n) == 0);
        CHECK(size == sizeof n || packet[size - 1] == (char)n);
        mcapi_pktchan_release(packet, &st);
        OK;
    }
}

/* The part of a node that is an end. */
static void be_an_end(const struct round* r, int sends, uint32_t end)
{
    mcapi_request_t request;
    size_t size;
    if (sends)
        send_all(r, end);
    else
        take(r, end);
    close_end(r, sends, end, &request);
    if (roll(r->number, TESTS) % 3 > 0) {
        finish(&request);
        return;
    }
    while (!mcapi_test(&request, &size, &st))
        IS(MCAPI_PENDING);
    OK;
}

static void walk(unsigned me)
{
    mcapi_endpoint_t ends[NODES + 1];
    unsigned n, number;
    start_node(me);
    ends[me] = mcapi_endpoint_create(1, &st);
    OK;
    for (n = 1; n <= NODES; n++)
        if (n != me)
            ends[n] = find(n, 1);
    /* An end of a channel is not found twice. */
    atomic_store(&over[me], 1);
    for (number = 2; number <= ROUNDS; number++) {
        struct round r = draw(number);
        int early = roll(number, EARLY) % 2, mine = me == r.from || me == r.to;
        mcapi_request_t open, connect;
        uint32_t end;
        wait_for_all(number - 1);
        if (mine && early)
            open_end(&r, me == r.from, ends[me], &end, &open);
        if (me == r.by) {
            if (r.scalar)
                mcapi_sclchan_connect_i(ends[r.from], ends[r.to], &connect, &st);
            else
                mcapi_pktchan_connect_i(ends[r.from], ends[r.to], &connect, &st);
            OK;
            finish(&connect);
        }
        if (mine && !early)
            open_end(&r, me == r.from, ends[me], &end, &open);
        if (mine) {
            finish(&open);
            be_an_end(&r, me == r.from, end);
        }
        atomic_store(&over[me], number);
    }
    wait_for_all(ROUNDS);
    for (n = 1; n <= NODES; n++) {
        mcapi_uint_t free = 0;
        mcapi_endpoint_get_attribute(ends[n], MCAPI_ENDP_ATTR_NUM_RECV_BUFFERS, &free, sizeof free, &st);
        OK;
        CHECK(free == MCAPI_MAX_QUEUE_ELEMENTS);
    }
    atomic_store(&over[me], ROUNDS + 1);
    wait_for_all(ROUNDS + 1);
    mcapi_endpoint_delete(ends[me], &st);
    OK;
    end_node();
}

static void first(void)
{
    walk(1);
}

static void second(void)
{
    walk(2);
}

static void third(void)
{
    walk(3);
}

int main(int argc, char** argv)
{
    static const body all[NODES] = { first, second, third };
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : (unsigned)getpid();
    /* Who fails says it. */
    fprintf(stderr, "seed %u\n", seed);
    over = mmap(NULL, (NODES + 1) * sizeof *over, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(over != MAP_FAILED);
    run(argv[1], NODES, all);
    return 0;
}
