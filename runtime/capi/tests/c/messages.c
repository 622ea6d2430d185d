/* Section 4.4: messages. */
#include "check.h"

static void first(void)
{
    mcapi_endpoint_t a, b, c;
    mcapi_request_t request, requests[3];
    char buffer[8], large[MCAPI_MAX_MSG_SIZE + 1];
    size_t size;
    unsigned n;
    start_node(1);
    a = mcapi_endpoint_create(1, &st);
    c = mcapi_endpoint_create(2, &st);
    b = find(2, 1);

    mcapi_msg_send(a, b, large, sizeof large, 0, &st);
    IS(MCAPI_ERR_MSG_SIZE);
    mcapi_msg_send(a, b, large, sizeof large - 1, 0, &st);
    OK;
    mcapi_msg_send(a, b, large, 1, MCAPI_MAX_PRIORITY + 1, &st);
    IS(MCAPI_ERR_PRIORITY);
    mcapi_msg_send(a, b, NULL, 1, 0, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_msg_send(a, 0xdeadbeef, "x", 1, 0, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_msg_send(b, a, "x", 1, 0, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_msg_recv(b, buffer, 8, &size, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_msg_send_i(a, b, "x", 1, 0, NULL, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_msg_recv(a, buffer, 8, NULL, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_msg_recv(a, NULL, 8, &size, &st);
    IS(MCAPI_ERR_PARAMETER);

    /* To oneself: priorities, first in first out in each, truncation, nothing at all. */
    mcapi_msg_send(a, c, "low", 3, 5, &st);
    OK;
    mcapi_msg_send(a, c, "high", 4, 0, &st);
    OK;
    mcapi_msg_send(a, c, NULL, 0, 5, &st);
    OK;
    CHECK(mcapi_msg_available(c, &st) == 3);
    mcapi_msg_recv(c, buffer, 2, &size, &st);
    IS(MCAPI_ERR_MSG_TRUNCATED);
    CHECK(size == 2 && memcmp(buffer, "hi", 2) == 0);
    mcapi_msg_recv(c, buffer, 8, &size, &st);
    OK;
    CHECK(size == 3 && memcmp(buffer, "low", 3) == 0);
    mcapi_msg_recv(c, NULL, 0, &size, &st);
    OK;
    CHECK(size == 0);

    /* A queue of exactly so many. */
    for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
        mcapi_msg_send(a, c, &n, sizeof n, 0, &st);
        OK;
    }
    mcapi_msg_send(a, c, &n, sizeof n, 0, &st);
    IS(MCAPI_ERR_MEM_LIMIT);
    mcapi_uint_t block = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT, timeout = 1000;
    mcapi_endpoint_set_attribute(c, MCAPI_ENDP_ATTR_MEMORY_TYPE, &block, sizeof block, &st);
    OK;
    mcapi_endpoint_set_attribute(a, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, sizeof timeout, &st);
    OK;
    mcapi_msg_send(a, c, "late", 4, 0, &st);
    IS(MCAPI_TIMEOUT);
    mcapi_msg_send_i(a, c, &n, sizeof n, 0, &request, &st);
    OK;
    CHECK(mcapi_test(&request, &size, &st) == MCAPI_FALSE);
    IS(MCAPI_PENDING);
    for (n = 0; n <= MCAPI_MAX_QUEUE_ELEMENTS; n++) {
        unsigned got;
        mcapi_msg_recv(c, &got, sizeof got, &size, &st);
        OK;
        CHECK(got == n && size == sizeof got);
    }
    CHECK(finish(&request) == sizeof n);
    mcapi_msg_recv(a, buffer, 8, &size, &st);
    IS(MCAPI_TIMEOUT);
    timeout = MCAPI_TIMEOUT_INFINITE;
    mcapi_endpoint_set_attribute(a, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, sizeof timeout, &st);
    OK;

    /* Receives posted ahead are served as they were posted, and cancelled ones take nothing. */
    for (n = 0; n < 3; n++) {
        mcapi_msg_recv_i(c, buffer + 2 * n, 2, &requests[n], &st);
        OK;
    }
    mcapi_cancel(&requests[1], &st);
    OK;
    mcapi_msg_send(a, b, "ab", 2, 0, &st);
    OK;
    CHECK(finish(&requests[2]) == 2);
    CHECK(finish(&requests[0]) == 2);
    CHECK(memcmp(buffer, "AB", 2) == 0 && memcmp(buffer + 4, "CD", 2) == 0);

    mcapi_msg_recv_i(c, buffer, 8, &request, &st);
    mcapi_endpoint_delete(c, &st);
    OK;
    CHECK(ends(&request) == MCAPI_ERR_ENDP_DELETED);
    mcapi_msg_send(a, c, "x", 1, 0, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    end_node();
}

static void second(void)
{
    mcapi_endpoint_t b, c;
    char buffer[MCAPI_MAX_MSG_SIZE];
    size_t size;
    start_node(2);
    b = mcapi_endpoint_create(1, &st);
    OK;
    mcapi_msg_recv(b, buffer, sizeof buffer, &size, &st);
    OK;
    CHECK(size == sizeof buffer);
    c = find(1, 2);
    mcapi_msg_recv(b, buffer, sizeof buffer, &size, &st);
    OK;
    CHECK(size == 2 && memcmp(buffer, "ab", 2) == 0);
    mcapi_msg_send(b, c, "AB", 2, 0, &st);
    OK;
    mcapi_msg_send(b, c, "CD", 2, 0, &st);
    OK;
    end_node();
}

int main(int argc, char** argv)
{
    const body bodies[] = { first, second };
    run(argc > 1 ? argv[1] : "threads", 2, bodies);
    return 0;
}
