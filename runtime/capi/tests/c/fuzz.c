/* Random calls with random arguments: made-up handles, handles of other nodes, NULL, sizes at, over and far over the limits,
 * from several nodes of a process ("threads"), or from several threads of a node and from two processes ("processes"). Whatever comes of them must be a
 * status that the call may have; a message or packet that arrives must be one that was sent; and beside all that a stream
 * of messages and one of packets must stay whole and in order.
 *
 *     fuzz threads|processes SEED CALLS [tell]
 *
 * A seed draws the same arguments again, though threads meet as they like. "tell" says how often which calls ended how. */
#include "check.h"
#include <stdbool.h>

enum { POOL = 32, WORKERS = 4, BUFFER = 2 * MCAPI_MAX_PKT_SIZE };

/* What threads of a process know, and hand in right or wrong. */
static uint32_t endpoints[POOL], requests[POOL], channels[POOL];
static void* packets[POOL];
/* All workers of this process call for one node. */
static bool shared;

static __thread uint64_t chance;

static uint32_t draw(uint32_t below)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(chance >> 33) % below;
}

static uint32_t made_up(void)
{
    const uint32_t values[] = { 0, 1, 2, 0xdeadbeef, 0xffffffff, 0x80000000, 1024 };
    if (draw(3) == 0)
        return (uint32_t)(chance >> 32);
    return values[draw(sizeof values / sizeof *values)];
}

static uint32_t from(const uint32_t* pool)
{
    return draw(12) == 0 ? made_up() : __atomic_load_n(&pool[draw(POOL)], __ATOMIC_RELAXED);
}

static void keep(uint32_t* pool, uint32_t handle)
{
    __atomic_store_n(&pool[draw(POOL)], handle, __ATOMIC_RELAXED);
}

/* Where there is memory for all of it, unless the library must refuse it unseen. */
static size_t any_size(size_t limit)
{
    switch (draw(8)) {
    case 0: return 0;
    case 1: return limit;
    case 2: return limit - 1;
    case 3: return limit + 1;
    default: return draw(200);
    }
}

/* Everything that is sent says how long it is and what it must be. */
static void fill(uint8_t* buffer, size_t size)
{
    size_t n;
    uint8_t first = (uint8_t)draw(256);
    for (n = 0; n < size; n++)
        buffer[n] = (uint8_t)(first + n * 7 + size);
}

static void check_content(const uint8_t* buffer, size_t size)
{
    size_t n;
    for (n = 1; n < size; n++)
        CHECK((uint8_t)(buffer[n] - buffer[0]) == (uint8_t)(n * 7));
}

static void check_whole(const uint8_t* buffer, size_t size)
{
    CHECK(size <= MCAPI_MAX_PKT_SIZE);
    check_content(buffer, size);
}

/* A status that MCAPI has. */
static void known(void)
{
    CHECK(st >= MCAPI_SUCCESS && st < MCAPI_STATUS_CODES_END);
}

typedef struct {
    uint64_t seed;
    mcapi_domain_t domain;
    mcapi_node_t first, number;
    uint8_t* buffer;
    /* Receives that are not yet known to be over write here. */
    uint8_t* landing;
} worker;

static mcapi_node_t some_node(const worker* me)
{
    return draw(20) == 0 ? made_up() : me->first + draw(3);
}

static void on_endpoints(const worker* me)
{
    mcapi_request_t request = 0;
    uint32_t value[2] = { draw(4) ? draw(100) : made_up(), 0 }, number = draw(14), timeout = 200;
    static mcapi_endpoint_t found[POOL];
    mcapi_endpoint_t endpoint;
    switch (draw(8)) {
    case 0:
        endpoint = mcapi_endpoint_create(draw(3) ? draw(40) : draw(2) ? MCAPI_PORT_ANY : made_up(), &st);
        if (st == MCAPI_SUCCESS) {
            /* If somebody has connected it by now, calls would wait there for ever: away with it all. */
            mcapi_endpoint_set_attribute(endpoint, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, 4, &st);
            if (st != MCAPI_SUCCESS && !shared)
                mcapi_finalize(&st);
            else
                keep(endpoints, endpoint);
        }
        break;
    case 1: mcapi_endpoint_delete(from(endpoints), &st); break;
    case 2:
        endpoint = mcapi_endpoint_get(me->domain, some_node(me), draw(40), draw(300), &st);
        if (st == MCAPI_SUCCESS)
            keep(endpoints, endpoint);
        break;
    case 3:
        mcapi_endpoint_get_i(me->domain, some_node(me), draw(40), draw(10) ? &found[draw(POOL)] : NULL,
            draw(10) ? &request : NULL, &st);
        if (st == MCAPI_SUCCESS)
            keep(requests, request);
        break;
    case 4: mcapi_endpoint_release(from(endpoints), &st); break;
    case 5: mcapi_endpoint_get_attribute(from(endpoints), number, draw(10) ? value : NULL, draw(5) ? 4 : 8, &st); break;
    case 6:
        if (number == MCAPI_ENDP_ATTR_TIMEOUT)
            value[0] %= 500;
        mcapi_endpoint_set_attribute(from(endpoints), number, draw(10) ? value : NULL, draw(9) ? 4 : draw(9), &st);
        break;
    default:
        mcapi_node_get_attribute(me->domain, some_node(me), draw(3), value, draw(5) ? 4 : draw(9), &st);
    }
}

static void on_messages(worker* me)
{
    mcapi_request_t request = 0;
    size_t size = any_size(MCAPI_MAX_MSG_SIZE), got;
    uint32_t priority = draw(20) ? draw(12) : made_up();
    switch (draw(5)) {
    case 0:
        fill(me->buffer, size);
        mcapi_msg_send(from(endpoints), from(endpoints), draw(20) ? me->buffer : NULL, size, priority, &st);
        break;
    case 1:
        fill(me->buffer, size);
        mcapi_msg_send_i(from(endpoints), from(endpoints), me->buffer, draw(30) ? size : (size_t)-1 - draw(9), priority,
            draw(20) ? &request : NULL, &st);
        if (st == MCAPI_SUCCESS)
            keep(requests, request);
        break;
    case 2:
        mcapi_msg_recv(from(endpoints), me->buffer, size, &got, &st);
        if (st == MCAPI_SUCCESS || st == MCAPI_ERR_MSG_TRUNCATED) {
            CHECK(got <= size && (st == MCAPI_SUCCESS || got == size));
            check_whole(me->buffer, got);
        }
        break;
    case 3:
        mcapi_msg_recv_i(from(endpoints), me->landing, size, &request, &st);
        if (st == MCAPI_SUCCESS)
            keep(requests, request);
        break;
    default:
        CHECK(mcapi_msg_available(from(endpoints), &st) <= MCAPI_MAX_QUEUE_ELEMENTS);
    }
}

static uint32_t* a_handle(void)
{
    return draw(30) ? &channels[draw(POOL)] : NULL;
}

/* By chance alone there would hardly ever be an open one. */
static void make_channel(void)
{
    mcapi_request_t made[3] = { 0, 0, 0 };
    mcapi_endpoint_t both[2];
    uint32_t timeout = 200, block = draw(2) ? 0 : MCAPI_ENDP_ATTR_FAIL_ON_MEM_LIMIT, n;
    uint32_t *tx = &channels[draw(POOL)], *rx = &channels[draw(POOL)];
    bool scalar = draw(2);
    size_t size;
    for (n = 0; n < 2; n++) {
        both[n] = mcapi_endpoint_create(MCAPI_PORT_ANY, &st);
        if (st != MCAPI_SUCCESS)
            return;
        mcapi_endpoint_set_attribute(both[n], MCAPI_ENDP_ATTR_TIMEOUT, &timeout, 4, &st);
        mcapi_endpoint_set_attribute(both[n], MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, 4, &st);
    }
    if (scalar) {
        mcapi_sclchan_connect_i(both[0], both[1], &made[0], &st);
        mcapi_sclchan_send_open_i(tx, both[0], &made[1], &st);
        mcapi_sclchan_recv_open_i(rx, both[1], &made[2], &st);
    } else {
        mcapi_pktchan_connect_i(both[0], both[1], &made[0], &st);
        mcapi_pktchan_send_open_i(tx, both[0], &made[1], &st);
        mcapi_pktchan_recv_open_i(rx, both[1], &made[2], &st);
    }
    for (n = 0; n < 3; n++)
        mcapi_wait(&made[n], &size, 300, &st);
    keep(endpoints, both[draw(2)]);
}

static void on_ends(void)
{
    mcapi_request_t request = 0, *place = draw(30) ? &request : NULL;
    switch (draw(11)) {
    case 10: make_channel(); return;
    case 0: mcapi_pktchan_connect_i(from(endpoints), from(endpoints), place, &st); break;
    case 1: mcapi_sclchan_connect_i(from(endpoints), from(endpoints), place, &st); break;
    case 2: mcapi_pktchan_send_open_i(a_handle(), from(endpoints), place, &st); break;
    case 3: mcapi_pktchan_recv_open_i(a_handle(), from(endpoints), place, &st); break;
    case 4: mcapi_sclchan_send_open_i(a_handle(), from(endpoints), place, &st); break;
    case 5: mcapi_sclchan_recv_open_i(a_handle(), from(endpoints), place, &st); break;
    case 6: mcapi_pktchan_send_close_i(from(channels), place, &st); break;
    case 7: mcapi_pktchan_recv_close_i(from(channels), place, &st); break;
    case 8: mcapi_sclchan_send_close_i(from(channels), place, &st); break;
    default: mcapi_sclchan_recv_close_i(from(channels), place, &st);
    }
    if (st == MCAPI_SUCCESS)
        keep(requests, request);
}

static void* take_packet(void)
{
    return __atomic_exchange_n(&packets[draw(POOL)], NULL, __ATOMIC_RELAXED);
}

static void on_packets(worker* me)
{
    mcapi_request_t request = 0;
    size_t size = any_size(MCAPI_MAX_PKT_SIZE), got;
    void *packet, *wrong = draw(2) ? me->buffer : (void*)(uintptr_t)made_up();
    static void* landings[POOL];
    switch (draw(7)) {
    case 0:
        fill(me->buffer, size);
        mcapi_pktchan_send(from(channels), draw(20) ? me->buffer : NULL, size, &st);
        break;
    case 1:
        fill(me->buffer, size);
        mcapi_pktchan_send_i(from(channels), me->buffer, draw(30) ? size : (size_t)-1 - draw(9),
            draw(20) ? &request : NULL, &st);
        if (st == MCAPI_SUCCESS)
            keep(requests, request);
        break;
    case 2:
        mcapi_pktchan_recv(from(channels), &packet, &got, &st);
        if (st == MCAPI_SUCCESS) {
            /* Another thread of the node may finalise it, and then the packet is gone. */
            if (!shared)
                check_whole(packet, got);
            /* What is kept there already is lent until the node ends. */
            __atomic_store_n(&packets[draw(POOL)], packet, __ATOMIC_RELAXED);
        }
        break;
    case 3:
        mcapi_pktchan_recv_i(from(channels), draw(20) ? &landings[draw(POOL)] : NULL, &request, &st);
        if (st == MCAPI_SUCCESS)
            keep(requests, request);
        break;
    case 4: mcapi_pktchan_available(from(channels), &st); break;
    case 5:
        packet = take_packet();
        mcapi_pktchan_release_test(packet, &st);
        mcapi_pktchan_release(packet, &st);
        known();
        mcapi_pktchan_release(packet, &st);
        break;
    default:
        mcapi_pktchan_release(wrong, &st);
        IS(st == MCAPI_ERR_NODE_NOTINIT ? MCAPI_ERR_NODE_NOTINIT : MCAPI_ERR_BUF_INVALID);
    }
}

static void on_scalars(void)
{
    uint32_t handle = from(channels);
    switch (draw(9)) {
    case 0: mcapi_sclchan_send_uint8(handle, 1, &st); break;
    case 1: mcapi_sclchan_send_uint16(handle, 2, &st); break;
    case 2: mcapi_sclchan_send_uint32(handle, 3, &st); break;
    case 3: mcapi_sclchan_send_uint64(handle, 4, &st); break;
    case 4: CHECK(mcapi_sclchan_recv_uint8(handle, &st) == 1 || st != MCAPI_SUCCESS); break;
    case 5: CHECK(mcapi_sclchan_recv_uint16(handle, &st) == 2 || st != MCAPI_SUCCESS); break;
    case 6: CHECK(mcapi_sclchan_recv_uint32(handle, &st) == 3 || st != MCAPI_SUCCESS); break;
    case 7: CHECK(mcapi_sclchan_recv_uint64(handle, &st) == 4 || st != MCAPI_SUCCESS); break;
    default: mcapi_sclchan_available(handle, &st);
    }
}

static void on_requests(void)
{
    mcapi_request_t some[8], *named[8], request = from(requests);
    size_t size, n, number = draw(9);
    mcapi_boolean_t over;
    switch (draw(4)) {
    case 0:
        over = mcapi_test(draw(20) ? &request : NULL, draw(20) ? &size : NULL, &st);
        CHECK(!over || st != MCAPI_PENDING);
        break;
    case 1:
        over = mcapi_wait(draw(20) ? &request : NULL, draw(20) ? &size : NULL, draw(300), &st);
        CHECK(!over || (st != MCAPI_TIMEOUT && st != MCAPI_ERR_WAIT_PENDING));
        break;
    case 2:
        for (n = 0; n < 8; n++) {
            some[n] = from(requests);
            named[n] = draw(30) ? &some[n] : NULL;
        }
        mcapi_uint_t at = mcapi_wait_any(number, draw(20) ? named : NULL, &size, draw(300), &st);
        CHECK(at == MCAPI_RETURN_VALUE_INVALID || at < number);
        break;
    default: mcapi_cancel(draw(20) ? &request : NULL, &st);
    }
}

static void on_nodes(const worker* me)
{
    mcapi_info_t info;
    char text[64];
    size_t size = draw(sizeof text);
    bool may_end = !shared || me->number == 0;
    switch (draw(6)) {
    case 0: mcapi_display_status(made_up(), draw(9) ? text : NULL, size); break;
    case 1:
        if (may_end)
            mcapi_initialize(me->domain, some_node(me), NULL, NULL, draw(9) ? &info : NULL, &st);
        break;
    case 2: mcapi_node_id_get(&st); break;
    case 3: mcapi_domain_id_get(&st); break;
    case 4:
        if (may_end && draw(20) == 0)
            mcapi_finalize(&st);
        break;
    default: mcapi_endpoint_create(1, NULL);
    }
}

static int calls;
static unsigned outcomes[8][MCAPI_STATUS_CODES_END];

static void tell(void)
{
    const char* groups[] = { "endpoints", "messages", "ends", "packets", "scalars", "requests", "nodes" };
    char name[MCAPI_MAX_STATUS_SIZE];
    unsigned group, status;
    for (group = 0; group < 7; group++)
        for (status = 1; status < MCAPI_STATUS_CODES_END; status++)
            if (outcomes[group][status])
                printf("%-10s %8u %s\n", groups[group], outcomes[group][status],
                    mcapi_display_status(status, name, sizeof name));
}

static void* work(void* argument)
{
    worker* me = argument;
    mcapi_info_t info;
    int n;
    chance = me->seed + (uint64_t)(me->number + 8 * me->first) * 0x9e3779b97f4a7c15u;
    if (!shared || me->number == 0)
        mcapi_initialize(me->domain, me->first + me->number % 3, NULL, NULL, &info, &st);
    /* Who never had a node calls for the only one there is: in the end, for one of those that go on undisturbed. */
    if (!shared && st != MCAPI_SUCCESS)
        mcapi_initialize(me->domain, 50 + me->number, NULL, NULL, &info, &st);
    for (n = 0; n < calls; n++) {
        st = MCAPI_SUCCESS;
        const unsigned groups[] = { 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5, 6 };
        unsigned group = groups[draw(16)];
        switch (group) {
        case 0: on_endpoints(me); break;
        case 1: on_messages(me); break;
        case 2: on_ends(); break;
        case 3: on_packets(me); break;
        case 4: on_scalars(); break;
        case 5: on_requests(); break;
        default: on_nodes(me);
        }
        known();
        __atomic_fetch_add(&outcomes[group][st], 1, __ATOMIC_RELAXED);
    }
    /* Whoever waits for ever, at an endpoint that another thread has just made, is set free. */
    mcapi_finalize(&st);
    known();
    return NULL;
}

/* One of the two that go on undisturbed: messages and packets, each numbered. */
static void* orderly_sender(void* unused)
{
    mcapi_pktchan_send_hndl_t tx;
    mcapi_request_t request;
    uint32_t n, number = (uint32_t)calls / 2;
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    start_node(101);
    mcapi_endpoint_t message = mcapi_endpoint_create(1, &st), packet = mcapi_endpoint_create(2, &st);
    mcapi_endpoint_set_attribute(packet, MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
    OK;
    /* Made last, when the others are as they are to be. */
    find(102, 3);
    mcapi_endpoint_t to = find(102, 1);
    mcapi_pktchan_connect_i(packet, find(102, 2), &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_send_open_i(&tx, packet, &request, &st);
    OK;
    finish(&request);
    for (n = 0; n < number; n++) {
        mcapi_msg_send(message, to, &n, sizeof n, 3, &st);
        OK;
        mcapi_pktchan_send(tx, &n, sizeof n, &st);
        OK;
    }
    mcapi_pktchan_send_close_i(tx, &request, &st);
    OK;
    finish(&request);
    /* Until it has all. */
    char byte;
    size_t size;
    mcapi_msg_recv(message, &byte, 1, &size, &st);
    OK;
    end_node();
    return unused;
}

static void* orderly_receiver(void* unused)
{
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_request_t request;
    uint32_t n, got, number = (uint32_t)calls / 2;
    void* packet;
    size_t size;
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    start_node(102);
    mcapi_endpoint_t ends[] = { mcapi_endpoint_create(1, &st), mcapi_endpoint_create(2, &st) };
    for (n = 0; n < 2; n++) {
        mcapi_endpoint_set_attribute(ends[n], MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
        OK;
    }
    mcapi_endpoint_create(3, &st);
    OK;
    mcapi_pktchan_recv_open_i(&rx, ends[1], &request, &st);
    OK;
    finish(&request);
    for (n = 0; n < number; n++) {
        mcapi_msg_recv(ends[0], &got, sizeof got, &size, &st);
        OK;
        CHECK(size == sizeof got && got == n);
        mcapi_pktchan_recv(rx, &packet, &size, &st);
        OK;
        CHECK(size == sizeof got && memcmp(packet, &n, sizeof n) == 0);
        mcapi_pktchan_release(packet, &st);
        OK;
    }
    mcapi_msg_send(ends[0], find(101, 1), "!", 1, 0, &st);
    OK;
    end_node();
    return unused;
}

static pthread_t start_thread(void* (*body)(void*), void* argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static void one_process(uint64_t seed, mcapi_node_t first)
{
    static worker workers[WORKERS];
    pthread_t threads[WORKERS];
    int n;
    for (n = 0; n < WORKERS; n++) {
        workers[n] = (worker) { seed, DOMAIN, first, (mcapi_node_t)n, malloc(BUFFER), malloc(BUFFER) };
        threads[n] = start_thread(work, &workers[n]);
    }
    for (n = 0; n < WORKERS; n++)
        CHECK(pthread_join(threads[n], NULL) == 0);
}

static pid_t start_process(void (*body)(uint64_t, mcapi_node_t), uint64_t seed, mcapi_node_t first)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(240);
        body(seed, first);
        exit(0);
    }
    return child;
}

static void sends(uint64_t seed, mcapi_node_t first)
{
    (void)seed, (void)first;
    orderly_sender(NULL);
}

static void receives(uint64_t seed, mcapi_node_t first)
{
    (void)seed, (void)first;
    orderly_receiver(NULL);
}

int main(int argc, char** argv)
{
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    int n, end;
    calls = argc > 3 ? atoi(argv[3]) : 4000;
    shared = argc > 1 && strcmp(argv[1], "processes") == 0;
    /* Whoever hangs is ended, with a message. */
    alarm(240);
    if (shared) {
        pid_t children[] = { start_process(sends, 0, 0), start_process(receives, 0, 0),
            start_process(one_process, seed, 1), start_process(one_process, seed + 1, 4) };
        for (n = 0; n < 4; n++)
            CHECK(waitpid(children[n], &end, 0) == children[n] && WIFEXITED(end) && WEXITSTATUS(end) == 0);
    } else {
        pthread_t orderly[] = { start_thread(orderly_sender, NULL), start_thread(orderly_receiver, NULL) };
        one_process(seed, 1);
        for (n = 0; n < 2; n++)
            CHECK(pthread_join(orderly[n], NULL) == 0);
    }
    if (argc > 4)
        tell();
    /* Sweeps up after those that ended without a word. */
    start_node(103);
    end_node();
    return 0;
}
