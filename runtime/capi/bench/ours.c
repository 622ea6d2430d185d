/* The library, as a program uses it. */
#include "bench.h"
#include <mcapi_impl_spec.h>
#include <string.h>
#include <unistd.h>

enum { DOMAIN = 1, HERE = 1, THERE = 2 };
/* Sends that are under way at a time. */
enum { WINDOW = 64 };

static void start(mcapi_node_t node)
{
    mcapi_info_t info;
    mcapi_initialize(DOMAIN, node, NULL, NULL, &info, &st);
    OK;
}

static void end(void)
{
    mcapi_finalize(&st);
    OK;
}

static mcapi_endpoint_t make(mcapi_port_t port)
{
    mcapi_endpoint_t endpoint = mcapi_endpoint_create(port, &st);
    OK;
    return endpoint;
}

static mcapi_endpoint_t find(mcapi_node_t node, mcapi_port_t port)
{
    mcapi_endpoint_t endpoint = mcapi_endpoint_get(DOMAIN, node, port, MCAPI_TIMEOUT_INFINITE, &st);
    OK;
    return endpoint;
}

static void finish(mcapi_request_t* request)
{
    size_t size;
    mcapi_wait(request, &size, MCAPI_TIMEOUT_INFINITE, &st);
    OK;
}

static void wait_for_room(mcapi_endpoint_t endpoint)
{
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    mcapi_endpoint_set_attribute(endpoint, MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
    OK;
}

/* Two channels of a kind, from port 1 to port 2 at the other side: this side connects the one on which it sends. */
#define CHANNELS(kind)                                                                               \
    static void kind##_channels(mcapi_node_t other, mcapi_##kind##chan_send_hndl_t* tx,              \
        mcapi_##kind##chan_recv_hndl_t* rx)                                                          \
    {                                                                                                \
        mcapi_request_t connect, send, receive;                                                      \
        mcapi_endpoint_t out = mcapi_endpoint_create(1, &st), in;                                    \
        OK;                                                                                          \
        wait_for_room(out);                                                                          \
        in = mcapi_endpoint_create(2, &st);                                                          \
        OK;                                                                                          \
        wait_for_room(in);                                                                           \
        /* Ready: nothing is connected before both have set what must agree. */                      \
        make(3);                                                                                     \
        find(other, 3);                                                                              \
        mcapi_##kind##chan_connect_i(out, find(other, 2), &connect, &st);                            \
        OK;                                                                                          \
        finish(&connect);                                                                            \
        mcapi_##kind##chan_send_open_i(tx, out, &send, &st);                                         \
        OK;                                                                                          \
        mcapi_##kind##chan_recv_open_i(rx, in, &receive, &st);                                       \
        OK;                                                                                          \
        finish(&send);                                                                               \
        finish(&receive);                                                                            \
    }
CHANNELS(pkt)
CHANNELS(scl)

static void pause_if(const way* of)
{
    if (of->asleep)
        usleep(300);
}

/* Answers a packet with the first bytes of it, or of a page. */
static void answer_packet(const way* of, mcapi_pktchan_send_hndl_t tx, mcapi_pktchan_recv_hndl_t rx)
{
    static char page[8192];
    void* packet;
    size_t size;
    mcapi_pktchan_recv(rx, &packet, &size, &st);
    OK;
    mcapi_pktchan_send(tx, of->answer ? page : packet, answer(of), &st);
    OK;
    mcapi_pktchan_release(packet, &st);
    OK;
}

void packet_there(void* with)
{
    way* of = with;
    mcapi_pktchan_send_hndl_t tx;
    mcapi_pktchan_recv_hndl_t rx;
    start(THERE);
    pkt_channels(HERE, &tx, &rx);
    for (int n = 0; n < of->rounds; n++)
        answer_packet(of, tx, rx);
    end();
}

void packet_here(void* with)
{
    way* of = with;
    mcapi_pktchan_send_hndl_t tx;
    mcapi_pktchan_recv_hndl_t rx;
    char bytes[8192] = { 1 };
    void* packet;
    size_t size;
    start(HERE);
    pkt_channels(THERE, &tx, &rx);
    for (int n = 0; n < of->rounds; n++) {
        pause_if(of);
        uint64_t begin = nanos();
        mcapi_pktchan_send(tx, bytes, of->bytes, &st);
        OK;
        mcapi_pktchan_recv(rx, &packet, &size, &st);
        OK;
        add(&of->times, nanos() - begin);
        mcapi_pktchan_release(packet, &st);
        OK;
    }
    end();
}

void scalar_there(void* with)
{
    way* of = with;
    mcapi_sclchan_send_hndl_t tx;
    mcapi_sclchan_recv_hndl_t rx;
    start(THERE);
    scl_channels(HERE, &tx, &rx);
    for (int n = 0; n < of->rounds; n++) {
        mcapi_uint64_t value = mcapi_sclchan_recv_uint64(rx, &st);
        OK;
        mcapi_sclchan_send_uint64(tx, value, &st);
        OK;
    }
    end();
}

void scalar_here(void* with)
{
    way* of = with;
    mcapi_sclchan_send_hndl_t tx;
    mcapi_sclchan_recv_hndl_t rx;
    start(HERE);
    scl_channels(THERE, &tx, &rx);
    for (int n = 0; n < of->rounds; n++) {
        pause_if(of);
        uint64_t begin = nanos();
        mcapi_sclchan_send_uint64(tx, (mcapi_uint64_t)n, &st);
        OK;
        mcapi_sclchan_recv_uint64(rx, &st);
        OK;
        add(&of->times, nanos() - begin);
    }
    end();
}

void message_there(void* with)
{
    way* of = with;
    char bytes[8192];
    size_t size;
    mcapi_request_t sent;
    start(THERE);
    mcapi_endpoint_t in = make(1), back = find(HERE, 1);
    make(3);
    for (int n = 0; n < of->rounds; n++) {
        mcapi_msg_recv(in, bytes, sizeof bytes, &size, &st);
        OK;
        mcapi_msg_send_i(in, back, bytes, size, 0, &sent, &st);
        OK;
        finish(&sent);
    }
    end();
}

void message_here(void* with)
{
    way* of = with;
    char bytes[8192] = { 1 };
    size_t size;
    start(HERE);
    mcapi_endpoint_t in = make(1), to = find(THERE, 1);
    find(THERE, 3);
    for (int n = 0; n < of->rounds; n++) {
        pause_if(of);
        uint64_t begin = nanos();
        mcapi_msg_send(in, to, bytes, of->bytes, 0, &st);
        OK;
        mcapi_msg_recv(in, bytes, sizeof bytes, &size, &st);
        OK;
        add(&of->times, nanos() - begin);
    }
    end();
}

static void send_messages(const stream* of)
{
    static char bytes[MCAPI_MAX_MSG_SIZE];
    mcapi_request_t sent[WINDOW];
    mcapi_endpoint_t from = make(1), to = find(HERE, 2);
    for (uint64_t n = 0; n < of->number; n++) {
        if (n >= WINDOW)
            finish(&sent[n % WINDOW]);
        mcapi_msg_send_i(from, to, bytes, of->bytes, 0, &sent[n % WINDOW], &st);
        OK;
    }
    for (uint64_t n = 0; n < WINDOW; n++)
        finish(&sent[(of->number + n) % WINDOW]);
}

void stream_there(void* with)
{
    const stream* of = with;
    start(THERE);
    if (of->messages) {
        send_messages(of);
    } else {
        static char bytes[MCAPI_MAX_PKT_SIZE];
        mcapi_pktchan_send_hndl_t tx;
        mcapi_pktchan_recv_hndl_t rx;
        memset(bytes, 1, sizeof bytes);
        pkt_channels(HERE, &tx, &rx);
        for (uint64_t n = 0; n < of->number; n++) {
            mcapi_pktchan_send(tx, bytes, of->bytes, &st);
            OK;
        }
    }
    end();
}

void stream_here(void* with)
{
    stream* of = with;
    mcapi_pktchan_send_hndl_t tx;
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_endpoint_t in = 0;
    uint64_t begin = 0;
    size_t size;
    start(HERE);
    if (of->messages) {
        in = mcapi_endpoint_create(2, &st);
        OK;
        wait_for_room(in);
    } else {
        pkt_channels(THERE, &tx, &rx);
    }
    for (uint64_t n = 0; n < of->number; n++) {
        if (of->messages) {
            char bytes[256];
            mcapi_msg_recv(in, bytes, sizeof bytes, &size, &st);
            OK;
        } else {
            void* packet;
            mcapi_pktchan_recv(rx, &packet, &size, &st);
            OK;
            if (of->reads)
                read_all(packet, size);
            mcapi_pktchan_release(packet, &st);
            OK;
        }
        if (n % of->at_a_time == 0) {
            uint64_t now = nanos();
            if (n > 0)
                add(&of->times, now - begin);
            begin = now;
        }
    }
    end();
}

/* Answers each message at the port that it names. */
void waiting_there(void* with)
{
    const waiting* of = with;
    mcapi_request_t sent;
    size_t size;
    start(THERE);
    mcapi_endpoint_t in = make(1);
    mcapi_endpoint_t* ports = malloc(sizeof(*ports) * (size_t)of->pending);
    for (int n = 0; n < of->pending; n++)
        ports[n] = find(HERE, (mcapi_port_t)(100 + n));
    make(3);
    for (int n = 0; n < of->rounds; n++) {
        uint32_t port;
        mcapi_msg_recv(in, &port, sizeof port, &size, &st);
        OK;
        mcapi_msg_send_i(in, ports[port], &port, sizeof port, 0, &sent, &st);
        OK;
        finish(&sent);
    }
    free(ports);
    end();
}

void waiting_here(void* with)
{
    waiting* of = with;
    size_t many = (size_t)of->pending, size;
    mcapi_endpoint_t* ports = malloc(sizeof(*ports) * many);
    mcapi_request_t* receives = malloc(sizeof(*receives) * many);
    mcapi_request_t** all = malloc(sizeof(*all) * many);
    uint32_t got, seed = 1;
    start(HERE);
    mcapi_endpoint_t out = make(1);
    for (size_t n = 0; n < many; n++) {
        ports[n] = make((mcapi_port_t)(100 + n));
        all[n] = &receives[n];
        mcapi_msg_recv_i(ports[n], &got, sizeof got, all[n], &st);
        OK;
    }
    mcapi_endpoint_t to = find(THERE, 1);
    find(THERE, 3);
    for (int n = 0; n < of->rounds; n++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t port = (seed >> 8) % (uint32_t)many;
        mcapi_request_t sent;
        uint64_t begin = nanos();
        mcapi_msg_send_i(out, to, &port, sizeof port, 0, &sent, &st);
        OK;
        mcapi_uint_t found = mcapi_wait_any(many, all, &size, MCAPI_TIMEOUT_INFINITE, &st);
        OK;
        add(&of->times, nanos() - begin);
        if (found != port || got != port)
            give_up(__FILE__, __LINE__, MCAPI_ERR_GENERAL);
        mcapi_msg_recv_i(ports[port], &got, sizeof got, all[port], &st);
        OK;
        finish(&sent);
    }
    end();
    free(all);
    free(receives);
    free(ports);
}
