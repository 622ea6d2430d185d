/* 4.5.7 and 4.5.9 for packets of the largest size, which on one machine lie where their sender has put them: a program that keeps
 * more of them than there is such room gets all others as well, each stays as it is, and they are released in any order. */
#include "check.h"

enum { KEPT = 20, ALL = 200, SIZE = MCAPI_MAX_PKT_SIZE };

static void fill(unsigned char* bytes, unsigned number)
{
    for (size_t at = 0; at < SIZE; at++)
        bytes[at] = (unsigned char)(number * 31 + at / 64 + at % 7);
}

static void is_packet(const unsigned char* bytes, unsigned number)
{
    for (size_t at = 0; at < SIZE; at++)
        CHECK(bytes[at] == (unsigned char)(number * 31 + at / 64 + at % 7));
}

static void message(mcapi_endpoint_t from, mcapi_endpoint_t to)
{
    mcapi_msg_send(from, to, "!", 1, 0, &st);
    OK;
}

static void await_message(mcapi_endpoint_t at)
{
    char byte;
    size_t size;
    mcapi_msg_recv(at, &byte, 1, &size, &st);
    OK;
}

/* One life of the sender: packets from a number on. */
static void send_from(unsigned first)
{
    static unsigned char bytes[SIZE];
    mcapi_pktchan_send_hndl_t tx;
    mcapi_request_t request;
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    start_node(1);
    mcapi_endpoint_t out = mcapi_endpoint_create(1, &st), go = mcapi_endpoint_create(9, &st);
    mcapi_endpoint_set_attribute(out, MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
    OK;
    /* Made last, when the others are as they are to be. */
    find(2, 8);
    mcapi_pktchan_connect_i(out, find(2, 1), &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_send_open_i(&tx, out, &request, &st);
    OK;
    finish(&request);
    for (unsigned n = first; n < first + ALL; n++) {
        fill(bytes, n);
        if (n % 3 == 0) {
            mcapi_pktchan_send_i(tx, bytes, SIZE, &request, &st);
            /* These do not wait for buffers here, and fail when there is none. */
            if (st == MCAPI_SUCCESS) {
                CHECK(finish(&request) == SIZE);
                continue;
            }
            IS(MCAPI_ERR_MEM_LIMIT);
        }
        mcapi_pktchan_send(tx, bytes, SIZE, &st);
        OK;
    }
    await_message(go);
    end_node();
}

static void first(void)
{
    send_from(0);
    /* Another life, while the other side has packets of the last one. */
    send_from(ALL);
}

/* Packets that the program has, and their numbers. */
static unsigned char* kept[KEPT];
static unsigned number[KEPT], many;

static void release(unsigned at)
{
    unsigned char* packet = kept[at];
    is_packet(packet, number[at]);
    /* It may write there. */
    packet[0]++;
    CHECK(mcapi_pktchan_release_test(packet, &st) == MCAPI_FALSE);
    IS(MCAPI_PENDING);
    mcapi_pktchan_release(packet + 1, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    mcapi_pktchan_release(packet, &st);
    OK;
    mcapi_pktchan_release(packet, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    CHECK(mcapi_pktchan_release_test(packet, &st) == MCAPI_TRUE);
    OK;
    many--;
    kept[at] = kept[many];
    number[at] = number[many];
}

static void receive(mcapi_pktchan_recv_hndl_t rx, unsigned n)
{
    void* packet = NULL;
    size_t size;
    mcapi_request_t request;
    if (n % 2) {
        mcapi_pktchan_recv(rx, &packet, &size, &st);
        OK;
    } else {
        mcapi_pktchan_recv_i(rx, &packet, &request, &st);
        OK;
        size = finish(&request);
    }
    CHECK(size == SIZE);
    is_packet(packet, n);
    kept[many] = packet;
    number[many++] = n;
}

static void second(void)
{
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_request_t request;
    void* none;
    size_t size;
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    start_node(2);
    mcapi_endpoint_t in = mcapi_endpoint_create(1, &st), go = mcapi_endpoint_create(9, &st);
    mcapi_endpoint_set_attribute(in, MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
    OK;
    mcapi_endpoint_create(8, &st);
    OK;
    for (unsigned life = 0; life < 2; life++) {
        mcapi_pktchan_recv_open_i(&rx, in, &request, &st);
        OK;
        finish(&request);
        for (unsigned n = life * ALL; n < (life + 1) * ALL; n++) {
            if (many == KEPT)
                release(n * 7 % KEPT);
            receive(rx, n);
        }
        message(go, find(1, 9));
        /* Until it is gone. */
        mcapi_pktchan_recv(rx, &none, &size, &st);
        IS(MCAPI_ERR_TRANSMISSION);
        mcapi_pktchan_recv_close_i(rx, &request, &st);
        OK;
        finish(&request);
        for (unsigned at = 0; at < KEPT; at++)
            is_packet(kept[at], number[at]);
    }
    while (many > 0)
        release(many / 2);
    end_node();
}

int main(int argc, char** argv)
{
    const body bodies[] = { first, second };
    run(argc > 1 ? argv[1] : "threads", 2, bodies);
    return 0;
}
