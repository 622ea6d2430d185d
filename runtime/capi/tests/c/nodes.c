/* Section 4.2: nodes, and calls before and after their life. */
#include "check.h"

static void not_initialized(void)
{
    mcapi_endpoint_t endpoint;
    mcapi_request_t request = 0;
    size_t size;
    void* packet;
    char byte;
#define REFUSED(call) do { call; IS(MCAPI_ERR_NODE_NOTINIT); } while (0)
    REFUSED(mcapi_finalize(&st));
    REFUSED(mcapi_domain_id_get(&st));
    REFUSED(mcapi_node_id_get(&st));
    REFUSED(mcapi_node_get_attribute(DOMAIN, 1, 0, &size, 4, &st));
    REFUSED(mcapi_endpoint_create(1, &st));
    REFUSED(mcapi_endpoint_get_i(DOMAIN, 1, 1, &endpoint, &request, &st));
    REFUSED(mcapi_endpoint_get(DOMAIN, 1, 1, 0, &st));
    REFUSED(mcapi_endpoint_delete(1, &st));
    REFUSED(mcapi_endpoint_release(1, &st));
    REFUSED(mcapi_endpoint_get_attribute(1, 0, &size, 4, &st));
    REFUSED(mcapi_endpoint_set_attribute(1, 0, &size, 4, &st));
    REFUSED(mcapi_msg_send_i(1, 1, &byte, 1, 0, &request, &st));
    REFUSED(mcapi_msg_send(1, 1, &byte, 1, 0, &st));
    REFUSED(mcapi_msg_recv_i(1, &byte, 1, &request, &st));
    REFUSED(mcapi_msg_recv(1, &byte, 1, &size, &st));
    REFUSED(mcapi_msg_available(1, &st));
    REFUSED(mcapi_pktchan_connect_i(1, 1, &request, &st));
    REFUSED(mcapi_pktchan_recv_open_i(&endpoint, 1, &request, &st));
    REFUSED(mcapi_pktchan_send_open_i(&endpoint, 1, &request, &st));
    REFUSED(mcapi_pktchan_send_i(1, &byte, 1, &request, &st));
    REFUSED(mcapi_pktchan_send(1, &byte, 1, &st));
    REFUSED(mcapi_pktchan_recv_i(1, &packet, &request, &st));
    REFUSED(mcapi_pktchan_recv(1, &packet, &size, &st));
    REFUSED(mcapi_pktchan_available(1, &st));
    REFUSED(mcapi_pktchan_release(&byte, &st));
    REFUSED(mcapi_pktchan_release_test(&byte, &st));
    REFUSED(mcapi_pktchan_recv_close_i(1, &request, &st));
    REFUSED(mcapi_pktchan_send_close_i(1, &request, &st));
    REFUSED(mcapi_sclchan_connect_i(1, 1, &request, &st));
    REFUSED(mcapi_sclchan_recv_open_i(&endpoint, 1, &request, &st));
    REFUSED(mcapi_sclchan_send_open_i(&endpoint, 1, &request, &st));
    REFUSED(mcapi_sclchan_send_uint64(1, 1, &st));
    REFUSED(mcapi_sclchan_send_uint32(1, 1, &st));
    REFUSED(mcapi_sclchan_send_uint16(1, 1, &st));
    REFUSED(mcapi_sclchan_send_uint8(1, 1, &st));
    REFUSED(mcapi_sclchan_recv_uint64(1, &st));
    REFUSED(mcapi_sclchan_recv_uint32(1, &st));
    REFUSED(mcapi_sclchan_recv_uint16(1, &st));
    REFUSED(mcapi_sclchan_recv_uint8(1, &st));
    REFUSED(mcapi_sclchan_available(1, &st));
    REFUSED(mcapi_sclchan_recv_close_i(1, &request, &st));
    REFUSED(mcapi_sclchan_send_close_i(1, &request, &st));
    REFUSED(mcapi_test(&request, &size, &st));
    REFUSED(mcapi_wait(&request, &size, 0, &st));
    mcapi_request_t* requests[] = { &request };
    REFUSED(mcapi_wait_any(1, requests, &size, 0, &st));
    REFUSED(mcapi_cancel(&request, &st));
}

static void attributes(void)
{
    mcapi_node_attributes_t attributes;
    mcapi_info_t info;
    mcapi_uint_t value = MCAPI_NODE_ATTR_TYPE_REGULAR;
    memset(&attributes, 0, sizeof attributes);
    mcapi_node_set_attribute(&attributes, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_node_init_attributes(NULL, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_node_init_attributes(&attributes, &st);
    OK;
    mcapi_node_set_attribute(&attributes, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    OK;
    mcapi_node_set_attribute(&attributes, 77, &value, sizeof value, &st);
    IS(MCAPI_ERR_ATTR_NUM);
    mcapi_node_set_attribute(&attributes, MCAPI_NODE_ATTR_TYPE, &value, 3, &st);
    IS(MCAPI_ERR_ATTR_SIZE);
    mcapi_node_set_attribute(&attributes, MCAPI_NODE_ATTR_TYPE, NULL, sizeof value, &st);
    IS(MCAPI_ERR_PARAMETER);
    value = 9;
    mcapi_node_set_attribute(&attributes, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    IS(MCAPI_ERR_ATTR_VALUE);
    mcapi_initialize(DOMAIN, 7, &attributes, NULL, &info, &st);
    OK;
    CHECK(info.mcapi_version == MCAPI_VERSION && info.number_of_nodes == MCA_MAX_NODES);
    mcapi_node_get_attribute(DOMAIN, 7, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    OK;
    CHECK(value == MCAPI_NODE_ATTR_TYPE_REGULAR);
    mcapi_node_get_attribute(DOMAIN, 8, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    IS(MCAPI_ERR_NODE_INVALID);
    mcapi_node_get_attribute(5, 7, MCAPI_NODE_ATTR_TYPE, &value, sizeof value, &st);
    IS(MCAPI_ERR_DOMAIN_INVALID);
    mcapi_node_get_attribute(DOMAIN, 7, 1, &value, sizeof value, &st);
    IS(MCAPI_ERR_ATTR_NUM);
    mcapi_node_get_attribute(DOMAIN, 7, MCAPI_NODE_ATTR_TYPE, &value, 2, &st);
    IS(MCAPI_ERR_ATTR_SIZE);
    mcapi_node_get_attribute(DOMAIN, 7, MCAPI_NODE_ATTR_TYPE, NULL, 4, &st);
    IS(MCAPI_ERR_PARAMETER);
    CHECK(mcapi_domain_id_get(&st) == DOMAIN && mcapi_node_id_get(&st) == 7);
    mcapi_initialize(DOMAIN, 9, NULL, NULL, &info, &st);
    IS(MCAPI_ERR_NODE_INITIALIZED);
    end_node();
}

static void* helper(void* unused)
{
    CHECK(mcapi_node_id_get(&st) == 3);
    OK;
    /* The name is taken. */
    mcapi_info_t info;
    mcapi_initialize(DOMAIN, 3, NULL, NULL, &info, &st);
    IS(MCAPI_ERR_NODE_INITIALIZED);
    return unused;
}

static void* after(void* unused)
{
    not_initialized();
    return unused;
}

int main(int argc, char** argv)
{
    mcapi_info_t info;
    pthread_t thread;
    int n;
    (void)argc, (void)argv;
    not_initialized();
    mcapi_initialize(DOMAIN, MCAPI_NODE_INVALID, NULL, NULL, &info, &st);
    IS(MCAPI_ERR_NODE_INVALID);
    mcapi_initialize(MCAPI_DOMAIN_INVALID, 1, NULL, NULL, &info, &st);
    IS(MCAPI_ERR_DOMAIN_INVALID);
    mcapi_initialize(DOMAIN, 1, NULL, NULL, NULL, &st);
    IS(MCAPI_ERR_PARAMETER);
    attributes();
    not_initialized();
    /* Several times, and a thread that has no node calls for the only one. */
    for (n = 0; n < 3; n++) {
        start_node(3);
        CHECK(pthread_create(&thread, NULL, helper, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        mcapi_endpoint_create(1, &st);
        OK;
        end_node();
    }
    /* Without a place for the status nothing is done. */
    mcapi_initialize(DOMAIN, 1, NULL, NULL, &info, NULL);
    mcapi_finalize(NULL);
    not_initialized();
    start_node(3);
    /* After a fork the child has no node; it can be another one, and the parent stays what it is. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        not_initialized();
        start_node(4);
        end_node();
        _exit(0);
    }
    int end;
    CHECK(waitpid(child, &end, 0) == child && WIFEXITED(end) && WEXITSTATUS(end) == 0);
    CHECK(mcapi_node_id_get(&st) == 3);
    end_node();
    CHECK(pthread_create(&thread, NULL, after, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
