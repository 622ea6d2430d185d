/* A pipeline over packet channels: node 1 deals numbers to the workers 2 and 3, which square them; node 4 takes what
 * comes first with wait_any, and adds it up. */
#include "nodes.h"

#define NUMBERS 1000u

/* Endpoints of a node: where it receives from `from`, and where it sends to `to`. */
#define IN(from) (10u + (from))
#define OUT(to) (20u + (to))

static mcapi_endpoint_t make(mcapi_port_t port)
{
    mcapi_endpoint_t made = mcapi_endpoint_create(port, &status);
    mcapi_uint_t wait = MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT;
    ok("create");
    /* A slow stage slows the one before it; both ends of a channel must say so. */
    mcapi_endpoint_set_attribute(made, MCAPI_ENDP_ATTR_MEMORY_TYPE, &wait, sizeof wait, &status);
    ok("attribute");
    return made;
}

static mcapi_pktchan_send_hndl_t sends_to(mcapi_node_t node, mcapi_node_t to)
{
    mcapi_pktchan_send_hndl_t handle;
    mcapi_request_t request;
    mcapi_endpoint_t here = make(OUT(to)), there;
    size_t size;
    char byte;
    /* An endpoint can be found before its attributes are set: its owner says when they are. */
    mcapi_msg_recv(here, &byte, 1, &size, &status);
    ok("readiness");
    there = mcapi_endpoint_get(1, to, IN(node), MCAPI_TIMEOUT_INFINITE, &status);
    ok("get");
    mcapi_pktchan_connect_i(here, there, &request, &status);
    ok("connect");
    complete(&request, "connected");
    mcapi_pktchan_send_open_i(&handle, here, &request, &status);
    ok("open");
    complete(&request, "open to send");
    return handle;
}

static mcapi_pktchan_recv_hndl_t receives_from(mcapi_node_t node, mcapi_node_t from)
{
    mcapi_pktchan_recv_hndl_t handle;
    mcapi_request_t request;
    mcapi_endpoint_t here = make(IN(from)), there;
    there = mcapi_endpoint_get(1, from, OUT(node), MCAPI_TIMEOUT_INFINITE, &status);
    ok("get");
    mcapi_msg_send(here, there, "!", 1, 0, &status);
    ok("ready");
    mcapi_pktchan_recv_open_i(&handle, here, &request, &status);
    ok("open");
    complete(&request, "open to receive");
    return handle;
}

static void deal(void)
{
    mcapi_pktchan_send_hndl_t workers[2];
    mcapi_request_t request;
    unsigned long n;
    int w;
    for (w = 0; w < 2; w++)
        workers[w] = sends_to(1, (mcapi_node_t)w + 2);
    for (n = 1; n <= NUMBERS; n++) {
        mcapi_pktchan_send(workers[n % 2], &n, sizeof n, &status);
        ok("deal");
    }
    for (w = 0; w < 2; w++) {
        /* What was sent still arrives; then the worker's receive ends with CHAN_INVALID. */
        mcapi_pktchan_send_close_i(workers[w], &request, &status);
        ok("close");
        complete(&request, "closed");
    }
    /* All is with the workers when the sum is known. */
    mcapi_endpoint_t end = mcapi_endpoint_create(1, &status);
    size_t size;
    ok("create");
    mcapi_msg_recv(end, &n, sizeof n, &size, &status);
    ok("sum");
    printf("sum of squares: %lu\n", n);
    if (n != NUMBERS * (NUMBERS + 1ul) * (2ul * NUMBERS + 1ul) / 6ul)
        exit(1);
}

static void square(mcapi_node_t node)
{
    mcapi_pktchan_recv_hndl_t numbers = receives_from(node, 1);
    mcapi_pktchan_send_hndl_t squares = sends_to(node, 4);
    mcapi_request_t request;
    for (;;) {
        void* packet;
        size_t size;
        unsigned long n;
        mcapi_pktchan_recv(numbers, &packet, &size, &status);
        if (status == MCAPI_ERR_CHAN_INVALID)
            break;
        ok("number");
        memcpy(&n, packet, sizeof n);
        mcapi_pktchan_release(packet, &status);
        ok("release");
        n *= n;
        mcapi_pktchan_send(squares, &n, sizeof n, &status);
        ok("square");
    }
    mcapi_pktchan_send_close_i(squares, &request, &status);
    ok("close");
    complete(&request, "closed");
    /* A node that leaves takes what it sent and nobody received with it: it waits until it is told. */
    mcapi_endpoint_t end = mcapi_endpoint_create(1, &status);
    size_t size;
    char byte;
    ok("create");
    mcapi_msg_recv(end, &byte, 1, &size, &status);
    ok("end");
}

static void add(void)
{
    mcapi_pktchan_recv_hndl_t workers[2];
    mcapi_request_t requests[2], *pending[2];
    void* packets[2];
    unsigned long sum = 0, n, open = 2, w;
    for (w = 0; w < 2; w++) {
        workers[w] = receives_from(4, (mcapi_node_t)w + 2);
        mcapi_pktchan_recv_i(workers[w], &packets[w], &requests[w], &status);
        ok("post");
        pending[w] = &requests[w];
    }
    mcapi_pktchan_recv_hndl_t from[] = { workers[0], workers[1] };
    while (open > 0) {
        size_t size;
        mcapi_uint_t at = mcapi_wait_any(open, pending, &size, MCAPI_TIMEOUT_INFINITE, &status);
        if (at < open && status == MCAPI_SUCCESS) {
            unsigned long slot = (unsigned long)(pending[at] - requests);
            memcpy(&n, packets[slot], sizeof n);
            sum += n;
            mcapi_pktchan_release(packets[slot], &status);
            ok("release");
            mcapi_pktchan_recv_i(from[slot], &packets[slot], &requests[slot], &status);
        }
        if (status == MCAPI_ERR_CHAN_INVALID && at < open)
            pending[at] = pending[--open];
        else
            ok("add");
    }
    mcapi_endpoint_t end = mcapi_endpoint_create(1, &status);
    ok("create");
    for (w = 1; w <= 3; w++) {
        mcapi_endpoint_t there = mcapi_endpoint_get(1, (mcapi_node_t)w, 1, MCAPI_TIMEOUT_INFINITE, &status);
        ok("get");
        mcapi_msg_send(end, there, &sum, w == 1 ? sizeof sum : 1, 0, &status);
        ok("sum");
    }
}

static void program(mcapi_node_t node)
{
    if (node == 1)
        deal();
    else if (node == 4)
        add();
    else
        square(node);
}

int main(int argc, char** argv)
{
    return run_nodes(argc, argv, 4, program);
}
