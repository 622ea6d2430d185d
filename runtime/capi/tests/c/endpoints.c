/* Section 4.3: endpoints, found in any order of starting, and their attributes. */
#include "check.h"

static void set(mcapi_endpoint_t endpoint, mcapi_uint_t number, mcapi_uint_t value)
{
    mcapi_endpoint_set_attribute(endpoint, number, &value, sizeof value, &st);
}

static mcapi_uint_t get(mcapi_endpoint_t endpoint, mcapi_uint_t number)
{
    mcapi_uint_t value = 12345;
    mcapi_endpoint_get_attribute(endpoint, number, &value, sizeof value, &st);
    OK;
    return value;
}

static void first(void)
{
    mcapi_endpoint_t a, b, any, other, found;
    mcapi_request_t request;
    size_t size;
    mcapi_endp_attr_get_source_t source;
    start_node(1);
    a = mcapi_endpoint_create(1, &st);
    OK;
    mcapi_endpoint_create(1, &st);
    IS(MCAPI_ERR_ENDP_EXISTS);
    mcapi_endpoint_create(0, &st);
    IS(MCAPI_ERR_PORT_INVALID);
    any = mcapi_endpoint_create(MCAPI_PORT_ANY, &st);
    OK;
    other = mcapi_endpoint_create(MCAPI_PORT_ANY, &st);
    OK;
    CHECK(any != other && any != a);
    mcapi_endpoint_delete(other, &st);
    OK;
    mcapi_endpoint_delete(other, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_endpoint_delete(0xdeadbeef, &st);
    IS(MCAPI_ERR_ENDP_INVALID);
    /* The name of a large port. */
    other = mcapi_endpoint_create(0x12345678, &st);
    OK;
    CHECK(mcapi_endpoint_get(DOMAIN, 1, 0x12345678, LONG, &st) == other);
    OK;

    mcapi_endpoint_get(DOMAIN, 1, 99, MCAPI_TIMEOUT_IMMEDIATE, &st);
    IS(MCAPI_TIMEOUT);
    mcapi_endpoint_get(DOMAIN, 77, 1, 1000, &st);
    IS(MCAPI_TIMEOUT);
    mcapi_endpoint_get(DOMAIN, MCAPI_NODE_INVALID, 1, 0, &st);
    IS(MCAPI_ERR_NODE_INVALID);
    mcapi_endpoint_get(MCAPI_DOMAIN_INVALID, 1, 1, 0, &st);
    IS(MCAPI_ERR_DOMAIN_INVALID);
    mcapi_endpoint_get(DOMAIN, 1, MCAPI_PORT_ANY, 0, &st);
    IS(MCAPI_ERR_PORT_INVALID);
    mcapi_endpoint_get_i(DOMAIN, 1, 1, NULL, &request, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_endpoint_get_i(DOMAIN, 1, 1, &found, NULL, &st);
    IS(MCAPI_ERR_PARAMETER);

    /* The other node may not be there yet. */
    mcapi_endpoint_get_i(DOMAIN, 2, 2, &b, &request, &st);
    OK;
    finish(&request);
    CHECK(b == find(2, 2));
    mcapi_endpoint_delete(b, &st);
    IS(MCAPI_ERR_ENDP_NOTOWNER);
    CHECK(get(b, MCAPI_ENDP_ATTR_GET_COUNT) == 2);
    mcapi_endpoint_get_attribute(b, MCAPI_ENDP_ATTR_GET_SOURCE, &source, sizeof source, &st);
    OK;
    CHECK(source.domain_id == DOMAIN && source.node_id == 1);
    mcapi_endpoint_release(b, &st);
    OK;
    CHECK(get(b, MCAPI_ENDP_ATTR_GET_COUNT) == 1);

    CHECK(get(a, MCAPI_ENDP_ATTR_TYPE) == MCAPI_ENDP_ATTR_TYPE_MESSAGE);
    CHECK(get(a, MCAPI_ENDP_ATTR_STATUS) == 0);
    CHECK(get(a, MCAPI_ENDP_ATTR_NUM_RECV_BUFFERS) == MCAPI_MAX_QUEUE_ELEMENTS);
    CHECK(get(a, MCAPI_ENDP_ATTR_MEMORY_TYPE) == MCAPI_ENDP_ATTR_FAIL_ON_MEM_LIMIT);
    CHECK(get(a, MCAPI_ENDP_ATTR_TIMEOUT) == MCAPI_TIMEOUT_INFINITE);
    CHECK(get(a, MCAPI_ENDP_ATTR_BUFFER_TYPE) == MCAPI_ENDP_ATTR_FIFO_BUFFER);
    set(a, MCAPI_ENDP_ATTR_MAX_PAYLOAD_SIZE, 100);
    OK;
    CHECK(get(a, MCAPI_ENDP_ATTR_MAX_PAYLOAD_SIZE) == 100);
    set(a, MCAPI_ENDP_ATTR_NUM_PRIORITIES, 3);
    OK;
    set(a, MCAPI_ENDP_ATTR_PRIORITY, 3);
    IS(MCAPI_ERR_ATTR_VALUE);
    set(a, MCAPI_ENDP_ATTR_PRIORITY, 2);
    OK;
    set(a, MCAPI_ENDP_ATTR_TYPE, 2);
    IS(MCAPI_ERR_ATTR_READONLY);
    set(a, 12, 2);
    IS(MCAPI_ERR_ATTR_NUM);
    set(b, MCAPI_ENDP_ATTR_PRIORITY, 1);
    IS(MCAPI_ERR_ENDP_REMOTE);
    set(0xdeadbeef, MCAPI_ENDP_ATTR_PRIORITY, 1);
    IS(MCAPI_ERR_ENDP_INVALID);
    mcapi_endpoint_set_attribute(a, MCAPI_ENDP_ATTR_PRIORITY, &size, 8, &st);
    IS(MCAPI_ERR_ATTR_SIZE);
    mcapi_endpoint_set_attribute(a, MCAPI_ENDP_ATTR_PRIORITY, NULL, 4, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_endpoint_get_attribute(a, MCAPI_ENDP_ATTR_PRIORITY, NULL, 4, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_endpoint_get_attribute(a, MCAPI_ENDP_ATTR_PRIORITY, &size, 2, &st);
    IS(MCAPI_ERR_ATTR_SIZE);

    /* The two ends of a channel must agree. */
    mcapi_pktchan_connect_i(a, b, &request, &st);
    OK;
    CHECK(ends(&request) == MCAPI_ERR_ATTR_INCOMPATIBLE);
    mcapi_pktchan_connect_i(any, b, &request, &st);
    OK;
    finish(&request);
    CHECK(get(b, MCAPI_ENDP_ATTR_TYPE) == MCAPI_ENDP_ATTR_TYPE_PKTCHAN);
    set(any, MCAPI_ENDP_ATTR_PRIORITY, 1);
    IS(MCAPI_ERR_CHAN_CONNECTED);
    mcapi_endpoint_delete(any, &st);
    IS(MCAPI_ERR_CHAN_CONNECTED);
    CHECK(find(2, 2) == b);
    mcapi_endpoint_get(DOMAIN, 2, 2, LONG, &st);
    IS(MCAPI_ERR_ENDP_GET_LIMIT);
    mcapi_endpoint_release(b, &st);
    OK;
    CHECK(find(2, 2) == b);

    mcapi_msg_send(a, find(2, 3), "end", 3, 0, &st);
    OK;
    int n = 0;
    while (mcapi_endpoint_create(MCAPI_PORT_ANY, &st), st == MCAPI_SUCCESS)
        n++;
    IS(MCAPI_ERR_ENDP_LIMIT);
    CHECK(n == MCAPI_MAX_ENDPOINTS - 3);
    end_node();
}

static void second(void)
{
    char buffer[3];
    size_t size;
    start_node(2);
    mcapi_endpoint_create(2, &st);
    OK;
    mcapi_endpoint_t end = mcapi_endpoint_create(3, &st);
    OK;
    mcapi_msg_recv(end, buffer, sizeof buffer, &size, &st);
    OK;
    end_node();
}

int main(int argc, char** argv)
{
    const body bodies[] = { first, second };
    run(argc > 1 ? argv[1] : "threads", 2, bodies);
    return 0;
}
