/* Section 4.5: packet channels. */
#include "check.h"

static void first(void)
{
    mcapi_endpoint_t a, b;
    mcapi_request_t request, sends[MCAPI_MAX_QUEUE_ELEMENTS];
    mcapi_pktchan_send_hndl_t tx;
    mcapi_pktchan_recv_hndl_t wrong;
    mcapi_sclchan_send_hndl_t scalar;
    char large[MCAPI_MAX_PKT_SIZE + 1] = "large";
    unsigned n;
    start_node(1);
    a = mcapi_endpoint_create(1, &st);
    b = find(2, 1);
    mcapi_pktchan_connect_i(a, a, &request, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_pktchan_connect_i(0xdeadbeef, b, &request, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_pktchan_send_open_i(NULL, a, &request, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_pktchan_send_open_i(&tx, b, &request, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_pktchan_connect_i(a, b, &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_connect_i(a, b, &request, &st);
    IS(MCAPI_ERR_CHAN_CONNECTED);
    mcapi_pktchan_recv_open_i(&wrong, a, &request, &st);
    IS(MCAPI_ERR_CHAN_DIRECTION);
    mcapi_sclchan_send_open_i(&scalar, a, &request, &st);
    IS(MCAPI_ERR_CHAN_TYPE);
    mcapi_msg_send(a, b, "x", 1, 0, &st);
    IS(MCAPI_ERR_GENERAL);
    mcapi_pktchan_send_open_i(&tx, a, &request, &st);
    OK;
    mcapi_request_t second;
    mcapi_pktchan_send_open_i(&tx, a, &second, &st);
    CHECK(st == MCAPI_ERR_CHAN_OPENPENDING || st == MCAPI_ERR_CHAN_OPEN);
    finish(&request);
    mcapi_pktchan_send_open_i(&tx, a, &second, &st);
    IS(MCAPI_ERR_CHAN_OPEN);

    mcapi_pktchan_send(tx, large, sizeof large, &st);
    IS(MCAPI_ERR_PKT_SIZE);
    mcapi_pktchan_send(tx, NULL, 1, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_pktchan_send(0xdeadbeef, "x", 1, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_sclchan_send_uint8(tx, 1, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_pktchan_send(tx, large, sizeof large - 1, &st);
    OK;
    mcapi_pktchan_send(tx, NULL, 0, &st);
    OK;
    /* As many as there is room for at both ends, and no more. */
    for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS - 2; n++) {
        mcapi_pktchan_send(tx, &n, sizeof n, &st);
        OK;
    }
    mcapi_pktchan_send(tx, &n, sizeof n, &st);
    IS(MCAPI_ERR_MEM_LIMIT);
    for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
        mcapi_pktchan_send_i(tx, &n, sizeof n, &sends[n], &st);
        OK;
    }
    mcapi_pktchan_send_i(tx, &n, sizeof n, &request, &st);
    IS(MCAPI_ERR_MEM_LIMIT);
    mcapi_endpoint_t go = mcapi_endpoint_create(9, &st);
    mcapi_msg_send(go, find(2, 9), "go", 2, 0, &st);
    OK;
    for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS; n++)
        CHECK(finish(&sends[n]) == sizeof n);
    mcapi_pktchan_send_close_i(tx, &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_send_close_i(tx, &request, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_pktchan_send(tx, "x", 1, &st);
    IS(MCAPI_ERR_CHAN_INVALID);

    /* The other way round: this side receives, and closes first. */
    char byte;
    size_t size;
    mcapi_msg_recv(go, &byte, 1, &size, &st);
    OK;
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_pktchan_recv_open_i(&rx, a, &request, &st);
    OK;
    finish(&request);
    mcapi_msg_recv(go, &byte, 1, &size, &st);
    OK;
    CHECK(mcapi_pktchan_available(rx, &st) == 1);
    mcapi_pktchan_recv_close_i(rx, &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_available(rx, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_msg_send(go, find(2, 9), "closed", 6, 0, &st);
    OK;
    mcapi_msg_recv(go, &byte, 1, &size, &st);
    OK;
    mcapi_endpoint_delete(a, &st);
    OK;
    end_node();
}

static void second(void)
{
    mcapi_endpoint_t a, b, go;
    mcapi_request_t request;
    mcapi_pktchan_recv_hndl_t rx;
    void *packet, *other;
    char byte[8];
    size_t size;
    unsigned n, all = 2 * MCAPI_MAX_QUEUE_ELEMENTS - 2;
    start_node(2);
    b = mcapi_endpoint_create(1, &st);
    go = mcapi_endpoint_create(9, &st);
    /* An open may come before the connect. */
    mcapi_pktchan_recv_open_i(&rx, b, &request, &st);
    OK;
    finish(&request);
    mcapi_msg_recv(go, byte, sizeof byte, &size, &st);
    OK;
    mcapi_pktchan_recv(rx, NULL, &size, &st);
    IS(MCAPI_ERR_PARAMETER);
    CHECK(mcapi_pktchan_available(rx, &st) == MCAPI_MAX_QUEUE_ELEMENTS);
    mcapi_pktchan_recv(rx, &packet, &size, &st);
    OK;
    CHECK(size == MCAPI_MAX_PKT_SIZE && strcmp(packet, "large") == 0);
    mcapi_pktchan_recv_i(rx, &other, &request, &st);
    OK;
    CHECK(finish(&request) == 0);
    /* Released in any order, once, and only what was given. */
    CHECK(mcapi_pktchan_release_test(packet, &st) == MCAPI_FALSE);
    IS(MCAPI_PENDING);
    mcapi_pktchan_release(other, &st);
    OK;
    mcapi_pktchan_release(packet, &st);
    OK;
    CHECK(mcapi_pktchan_release_test(packet, &st) == MCAPI_TRUE);
    OK;
    mcapi_pktchan_release(packet, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    mcapi_pktchan_release(&byte, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    mcapi_pktchan_release(NULL, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    mcapi_pktchan_release_test(&byte, &st);
    IS(MCAPI_ERR_BUF_INVALID);
    for (n = 0; n < all; n++) {
        unsigned expected = n < MCAPI_MAX_QUEUE_ELEMENTS - 2 ? n : n - (MCAPI_MAX_QUEUE_ELEMENTS - 2);
        mcapi_pktchan_recv(rx, &packet, &size, &st);
        OK;
        CHECK(size == sizeof n && memcmp(packet, &expected, sizeof n) == 0);
        mcapi_pktchan_release(packet, &st);
        OK;
    }
    mcapi_pktchan_recv(rx, &packet, &size, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_pktchan_recv_close_i(rx, &request, &st);
    OK;
    finish(&request);

    /* Both ends are free again: a channel back, and a sender whose receiver closes. */
    a = find(1, 1);
    mcapi_pktchan_send_hndl_t tx;
    do {
        /* The first channel ends there a little later than here. */
        mcapi_pktchan_connect_i(b, a, &request, &st);
        OK;
    } while (ends(&request) != MCAPI_SUCCESS);
    mcapi_msg_send(go, find(1, 9), "!", 1, 0, &st);
    OK;
    mcapi_pktchan_send_open_i(&tx, b, &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_send(tx, "x", 1, &st);
    OK;
    mcapi_msg_send(go, find(1, 9), "!", 1, 0, &st);
    OK;
    mcapi_msg_recv(go, byte, sizeof byte, &size, &st);
    OK;
    mcapi_pktchan_send(tx, "x", 1, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_pktchan_send_close_i(tx, &request, &st);
    OK;
    finish(&request);
    mcapi_msg_send(go, find(1, 9), "!", 1, 0, &st);
    OK;
    end_node();
}

int main(int argc, char** argv)
{
    const body bodies[] = { first, second };
    run(argc > 1 ? argv[1] : "threads", 2, bodies);
    return 0;
}
