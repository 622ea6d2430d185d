/* After initialise, and after endpoints and channels are made and were used once, nothing is allocated: neither for what is sent,
 * received and waited for, nor for the look at whether the others live. Every call of the allocator by this process, the
 * library's threads included, is counted. */
#include "check.h"
#include <stdatomic.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

static atomic_ulong allocations;

void* malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void* calloc(size_t number, size_t size)
{
    allocations++;
    return __libc_calloc(number, size);
}

void* realloc(void* old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}

int posix_memalign(void** to, size_t align, size_t size)
{
    allocations++;
    *to = __libc_memalign(align, size);
    return *to == NULL;
}

void* aligned_alloc(size_t align, size_t size)
{
    allocations++;
    return __libc_memalign(align, size);
}

enum { ROUNDS = 3000, FIRST = 20, MANY = 200, LOOK_MS = 50 };

static unsigned long seen;

/* Between some rounds there is a look at whether the others live. */
static void round_is_over(unsigned round)
{
    if (round % 500 == 0)
        usleep(3 * LOOK_MS * 1000 / 2);
    if (round == FIRST)
        seen = allocations;
    if (round > FIRST)
        CHECK(seen == allocations);
}

static char large[MCAPI_MAX_PKT_SIZE];

/* Two channels of each kind with the other node: out of ports 1 and 3, into 2 and 4. */
static mcapi_pktchan_send_hndl_t packets_out;
static mcapi_pktchan_recv_hndl_t packets_in;
static mcapi_sclchan_send_hndl_t scalars_out;
static mcapi_sclchan_recv_hndl_t scalars_in;

static void channels(mcapi_node_t other)
{
    mcapi_request_t request[2];
    mcapi_endpoint_t ends[5];
    for (unsigned n = 1; n <= 4; n++)
        ends[n] = mcapi_endpoint_create(n, &st);
    mcapi_pktchan_connect_i(ends[1], find(other, 2), &request[0], &st);
    OK;
    finish(&request[0]);
    mcapi_sclchan_connect_i(ends[3], find(other, 4), &request[0], &st);
    OK;
    finish(&request[0]);
    mcapi_pktchan_send_open_i(&packets_out, ends[1], &request[0], &st);
    mcapi_pktchan_recv_open_i(&packets_in, ends[2], &request[1], &st);
    finish(&request[0]);
    finish(&request[1]);
    mcapi_sclchan_send_open_i(&scalars_out, ends[3], &request[0], &st);
    mcapi_sclchan_recv_open_i(&scalars_in, ends[4], &request[1], &st);
    finish(&request[0]);
    finish(&request[1]);
}

static void send_packet(size_t size)
{
    mcapi_request_t request;
    mcapi_pktchan_send_i(packets_out, large, size, &request, &st);
    OK;
    finish(&request);
}

static size_t receive_packet(void)
{
    void* packet;
    size_t size;
    mcapi_pktchan_recv(packets_in, &packet, &size, &st);
    OK;
    mcapi_pktchan_release(packet, &st);
    OK;
    CHECK(mcapi_pktchan_release_test(packet, &st) == MCAPI_TRUE);
    return size;
}

static size_t size_of(unsigned round)
{
    return round % 10 == 0 ? sizeof large : round % 3 == 0 ? 1000 : round % 70;
}

/* Everything a program does over and over. */
static void talk(int asks, mcapi_endpoint_t here, mcapi_endpoint_t there, mcapi_endpoint_t spare)
{
    static mcapi_request_t receives[MANY], *all[MANY];
    static char got[MANY][8];
    char bytes[256];
    size_t size;
    unsigned n;
    for (n = 0; n < ROUNDS; n++) {
        mcapi_request_t request;
        if (asks) {
            send_packet(size_of(n));
            mcapi_sclchan_send_uint32(scalars_out, n, &st);
            OK;
            mcapi_msg_send(here, there, bytes, n % 250, n % 3, &st);
            OK;
        }
        CHECK(receive_packet() == size_of(n));
        CHECK(mcapi_sclchan_recv_uint32(scalars_in, &st) == n);
        OK;
        mcapi_msg_recv_i(here, bytes, sizeof bytes, &request, &st);
        OK;
        while (!mcapi_test(&request, &size, &st))
            IS(MCAPI_PENDING);
        CHECK(size == n % 250);
        if (!asks) {
            send_packet(size_of(n));
            mcapi_sclchan_send_uint32(scalars_out, n, &st);
            OK;
            mcapi_msg_send_i(here, there, bytes, size, 0, &request, &st);
            OK;
            finish(&request);
        }
        round_is_over(n);
    }
    /* Many receives are posted, and served by wait_any; one more times out, and is taken back. */
    for (n = 0; n < MANY; n++) {
        all[n] = &receives[n];
        mcapi_msg_recv_i(here, got[n], sizeof got[n], all[n], &st);
        OK;
    }
    for (n = 0; n < MANY; n++) {
        mcapi_msg_send(here, there, "x", 1, 0, &st);
        OK;
        mcapi_uint_t at = mcapi_wait_any(MANY - n, all, &size, LONG, &st);
        OK;
        CHECK(size == 1);
        all[at] = all[MANY - n - 1];
        round_is_over(ROUNDS + n);
    }
    mcapi_msg_recv_i(spare, bytes, sizeof bytes, &receives[0], &st);
    OK;
    CHECK(mcapi_wait(&receives[0], &size, 100, &st) == MCAPI_FALSE);
    IS(MCAPI_TIMEOUT);
    mcapi_cancel(&receives[0], &st);
    OK;
    round_is_over(ROUNDS);
}

static void node(mcapi_node_t me, mcapi_node_t other)
{
    unsigned long before;
    start_node(me);
    channels(other);
    mcapi_endpoint_t here = mcapi_endpoint_create(9, &st), spare = mcapi_endpoint_create(10, &st);
    OK;
    mcapi_endpoint_t end = mcapi_endpoint_create(11, &st);
    OK;
    mcapi_endpoint_t there = find(other, 9), last = find(other, 11);
    talk(me == 1, here, there, spare);
    /* It is counted at all. */
    before = allocations;
    void* volatile probe = malloc(1);
    free(probe);
    CHECK(allocations > before);
    /* Both are done before one leaves. */
    char byte;
    size_t size;
    mcapi_msg_send(here, last, "!", 1, 0, &st);
    OK;
    mcapi_msg_recv(end, &byte, 1, &size, &st);
    OK;
    end_node();
}

static void first(void)
{
    node(1, 2);
}

static void second(void)
{
    node(2, 1);
}

int main(int argc, char** argv)
{
    const body bodies[] = { first, second };
    run(argc > 1 ? argv[1] : "processes", 2, bodies);
    return 0;
}
