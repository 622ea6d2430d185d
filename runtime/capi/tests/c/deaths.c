/* A node that is killed in the middle of its calls: the others are told, and it can come again (3.10). */
#include "check.h"
#include <signal.h>

#define LIVES 3

/* Sends and gets as fast as it can, until it is killed. */
static void victim(void)
{
    mcapi_pktchan_send_hndl_t tx;
    mcapi_request_t request;
    unsigned n;
    start_node(2);
    mcapi_endpoint_t from = mcapi_endpoint_create(1, &st), to = find(1, 1);
    OK;
    mcapi_pktchan_connect_i(from, to, &request, &st);
    OK;
    finish(&request);
    mcapi_pktchan_send_open_i(&tx, from, &request, &st);
    OK;
    finish(&request);
    for (n = 0;; n++)
        mcapi_pktchan_send(tx, &n, sizeof n, &st);
}

/* A node that sends all the time, and the end to which it does. */
static pid_t begin(mcapi_endpoint_t to, mcapi_pktchan_recv_hndl_t* rx)
{
    mcapi_request_t request;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        victim();
    mcapi_pktchan_recv_open_i(rx, to, &request, &st);
    OK;
    finish(&request);
    return child;
}

/* A close waits until the other node has heard of it, which a stopped one does not, nor a dead one: then it is over. */
static void close_to_one_that_is_stopped(mcapi_endpoint_t to)
{
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_request_t request;
    size_t size;
    int end;
    pid_t child = begin(to, &rx);
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(waitpid(child, &end, WUNTRACED) == child && WIFSTOPPED(end));
    mcapi_pktchan_recv_close_i(rx, &request, &st);
    OK;
    CHECK(mcapi_test(&request, &size, &st) == MCAPI_FALSE);
    IS(MCAPI_PENDING);
    mcapi_endpoint_delete(to, &st);
    IS(MCAPI_ERR_CHAN_CONNECTED);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &end, 0) == child && WIFSIGNALED(end));
    finish(&request);
    mcapi_endpoint_delete(to, &st);
    OK;
}

int main(int argc, char** argv)
{
    unsigned life, n, got;
    (void)argc, (void)argv;
    start_node(1);
    mcapi_endpoint_t to = mcapi_endpoint_create(1, &st), here = mcapi_endpoint_create(2, &st);
    OK;
    for (life = 1; life <= LIVES; life++) {
        mcapi_pktchan_recv_hndl_t rx;
        mcapi_request_t request, waiting;
        mcapi_endpoint_t never;
        void* packet;
        size_t size;
        int end;
        pid_t child = begin(to, &rx);
        /* It is there and never makes this endpoint. */
        mcapi_endpoint_get_i(DOMAIN, 2, 99, &never, &waiting, &st);
        OK;
        for (n = 0; n < 100 * life; n++) {
            mcapi_pktchan_recv(rx, &packet, &size, &st);
            OK;
            memcpy(&got, packet, sizeof got);
            CHECK(size == sizeof got && (n > 0 || got == 0));
            mcapi_pktchan_release(packet, &st);
            OK;
        }
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, &end, 0) == child && WIFSIGNALED(end));
        /* What it sent can be received; then the death shows. */
        do {
            mcapi_pktchan_recv(rx, &packet, &size, &st);
            if (st == MCAPI_SUCCESS) {
                mcapi_pktchan_release(packet, &st);
                OK;
            }
        } while (st == MCAPI_SUCCESS);
        IS(MCAPI_ERR_TRANSMISSION);
        CHECK(ends(&waiting) == MCAPI_ERR_TRANSMISSION);
        mcapi_pktchan_recv_close_i(rx, &request, &st);
        OK;
        finish(&request);
        /* Nothing else is broken. */
        mcapi_msg_send(here, here, "x", 1, 0, &st);
        OK;
        char byte;
        mcapi_msg_recv(here, &byte, 1, &size, &st);
        OK;
    }
    close_to_one_that_is_stopped(to);
    end_node();
    return 0;
}
