/* Section 4.6: scalar channels. A third node connects. */
#include "check.h"

static void sender(void)
{
    mcapi_sclchan_send_hndl_t tx;
    mcapi_request_t request;
    unsigned n;
    start_node(1);
    mcapi_endpoint_t a = mcapi_endpoint_create(1, &st);
    OK;
    mcapi_sclchan_send_open_i(&tx, a, &request, &st);
    OK;
    finish(&request);
    mcapi_sclchan_send_uint8(tx, 0xfe, &st);
    OK;
    mcapi_sclchan_send_uint16(tx, 0xfedc, &st);
    OK;
    mcapi_sclchan_send_uint32(tx, 0xfedcba98u, &st);
    OK;
    mcapi_sclchan_send_uint64(tx, 0xfedcba9876543210u, &st);
    OK;
    for (n = 4; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
        mcapi_sclchan_send_uint32(tx, n, &st);
        OK;
    }
    mcapi_sclchan_send_uint32(tx, n, &st);
    IS(MCAPI_ERR_MEM_LIMIT);
    mcapi_sclchan_send_uint8(0xdeadbeef, 1, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_endpoint_t go = mcapi_endpoint_create(9, &st);
    mcapi_msg_send(go, find(2, 9), "go", 2, 0, &st);
    OK;
    char byte;
    size_t size;
    mcapi_msg_recv(go, &byte, 1, &size, &st);
    OK;
    mcapi_sclchan_send_close_i(tx, &request, &st);
    OK;
    finish(&request);
    end_node();
}

static void receiver(void)
{
    mcapi_sclchan_recv_hndl_t rx;
    mcapi_request_t request;
    char bytes[2];
    size_t size;
    unsigned n;
    start_node(2);
    mcapi_endpoint_t b = mcapi_endpoint_create(1, &st), go = mcapi_endpoint_create(9, &st);
    mcapi_sclchan_recv_open_i(&rx, b, &request, &st);
    OK;
    finish(&request);
    mcapi_msg_recv(go, bytes, 2, &size, &st);
    OK;
    CHECK(mcapi_sclchan_available(rx, &st) == MCAPI_MAX_QUEUE_ELEMENTS);
    /* The size must match; what does not stays. */
    mcapi_sclchan_recv_uint16(rx, &st);
    IS(MCAPI_ERR_SCL_SIZE);
    CHECK(mcapi_sclchan_recv_uint8(rx, &st) == 0xfe);
    OK;
    CHECK(mcapi_sclchan_recv_uint16(rx, &st) == 0xfedc);
    OK;
    CHECK(mcapi_sclchan_recv_uint32(rx, &st) == 0xfedcba98u);
    OK;
    mcapi_sclchan_recv_uint8(rx, &st);
    IS(MCAPI_ERR_SCL_SIZE);
    CHECK(mcapi_sclchan_recv_uint64(rx, &st) == 0xfedcba9876543210u);
    OK;
    for (n = 4; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
        CHECK(mcapi_sclchan_recv_uint32(rx, &st) == n);
        OK;
    }
    void* packet;
    mcapi_pktchan_recv_i(rx, &packet, &request, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_pktchan_recv_close_i(rx, &request, &st);
    IS(MCAPI_ERR_CHAN_TYPE);
    mcapi_sclchan_send_close_i(rx, &request, &st);
    IS(MCAPI_ERR_CHAN_DIRECTION);
    mcapi_sclchan_recv_uint32(0xdeadbeef, &st);
    IS(MCAPI_ERR_CHAN_INVALID);
    mcapi_endpoint_t third = find(3, 9);
    mcapi_sclchan_recv_close_i(rx, &request, &st);
    OK;
    finish(&request);
    mcapi_msg_send(go, find(1, 9), "!", 1, 0, &st);
    OK;
    mcapi_msg_send(go, third, "!", 1, 0, &st);
    OK;
    end_node();
}

static void connector(void)
{
    mcapi_request_t request;
    char byte;
    size_t size;
    start_node(3);
    mcapi_endpoint_t end = mcapi_endpoint_create(9, &st);
    mcapi_sclchan_connect_i(find(1, 1), find(2, 1), &request, &st);
    OK;
    finish(&request);
    mcapi_msg_recv(end, &byte, 1, &size, &st);
    OK;
    end_node();
}

int main(int argc, char** argv)
{
    const body bodies[] = { sender, receiver, connector };
    run(argc > 1 ? argv[1] : "threads", 3, bodies);
    return 0;
}
