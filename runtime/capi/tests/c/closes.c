/* Sections 4.5 and 4.6: what the close of both ends promises, to whoever knows of it: here three nodes that tell each other past
 * MCAPI. When both closes are done the endpoints are for messages again, at once and for everybody. */
#include "check.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define ROUNDS 240
#define LARGE 30000
#define PACKETS 40

/* What was done of a round. */
enum { CONNECTED, SENDER_CLOSED, RECEIVER_CLOSED, SENDER_FREE, RECEIVER_FREE, STEPS };
static atomic_char (*steps)[STEPS];

static void tell(int round, int step)
{
    atomic_store(&steps[round][step], 1);
}

/* Not one call of MCAPI meanwhile. */
static void learn(int round, int step)
{
    while (!atomic_load(&steps[round][step]))
        sched_yield();
}

/* Who closes first, or nobody in particular. */
static mcapi_boolean_t is_first(int round, int sender)
{
    return round % 3 == 2 || (round % 3 == 0) == sender;
}

static void learn_both(int round)
{
    learn(round, SENDER_CLOSED);
    learn(round, RECEIVER_CLOSED);
}

/* The owner of an end sees none. */
static void use_at_once(int round, mcapi_endpoint_t* mine, mcapi_endpoint_t other)
{
    mcapi_request_t request;
    mcapi_uint_t type = 99, timeout = MCAPI_TIMEOUT_INFINITE;
    size_t size;
    char byte;
    switch (round / 3 % 4) {
    case 0:
        mcapi_endpoint_delete(*mine, &st);
        OK;
        *mine = mcapi_endpoint_create(1, &st);
        break;
    case 1:
        mcapi_msg_recv_i(*mine, &byte, 1, &request, &st);
        OK;
        mcapi_cancel(&request, &st);
        break;
    case 2:
        mcapi_endpoint_get_attribute(*mine, MCAPI_ENDP_ATTR_TYPE, &type, sizeof type, &st);
        CHECK(type == MCAPI_ENDP_ATTR_TYPE_MESSAGE);
        OK;
        mcapi_endpoint_set_attribute(*mine, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, sizeof timeout, &st);
        break;
    default:
        /* Each to the other. */
        mcapi_msg_send_i(*mine, other, "x", 1, 0, &request, &st);
        OK;
        mcapi_msg_recv(*mine, &byte, 1, &size, &st);
        OK;
        finish(&request);
    }
    OK;
}

static void sender(void)
{
    static const char large[LARGE];
    start_node(1);
    mcapi_endpoint_t mine = mcapi_endpoint_create(1, &st), other = find(2, 1);
    int round, n;
    for (round = 0; round < ROUNDS; round++) {
        mcapi_pktchan_send_hndl_t tx;
        mcapi_request_t request;
        mcapi_pktchan_send_open_i(&tx, mine, &request, &st);
        OK;
        finish(&request);
        /* More than a lane between two nodes holds. */
        for (n = 0; round % 2 == 0 && n < PACKETS; n++) {
            mcapi_pktchan_send(tx, large, sizeof large, &st);
            if (is_first(round, 0) && st == MCAPI_ERR_CHAN_INVALID)
                break;
            OK;
        }
        if (!is_first(round, 1))
            learn(round, RECEIVER_CLOSED);
        mcapi_pktchan_send_close_i(tx, &request, &st);
        OK;
        finish(&request);
        tell(round, SENDER_CLOSED);
        learn_both(round);
        if (round % 2 == 0)
            use_at_once(round, &mine, other);
        tell(round, SENDER_FREE);
    }
    end_node();
}

static void receiver(void)
{
    start_node(2);
    mcapi_endpoint_t mine = mcapi_endpoint_create(1, &st), other = find(1, 1);
    int round;
    for (round = 0; round < ROUNDS; round++) {
        mcapi_pktchan_recv_hndl_t rx;
        mcapi_request_t request;
        mcapi_pktchan_recv_open_i(&rx, mine, &request, &st);
        OK;
        finish(&request);
        if (!is_first(round, 0))
            learn(round, SENDER_CLOSED);
        mcapi_pktchan_recv_close_i(rx, &request, &st);
        OK;
        finish(&request);
        tell(round, RECEIVER_CLOSED);
        learn_both(round);
        if (round % 2 == 0)
            use_at_once(round, &mine, other);
        tell(round, RECEIVER_FREE);
    }
    end_node();
}

static void third(void)
{
    start_node(3);
    mcapi_endpoint_t from = find(1, 1), to = find(2, 1);
    int round;
    for (round = 0; round < ROUNDS; round++) {
        mcapi_request_t request;
        if (round > 0) {
            learn_both(round - 1);
            /* In every second round at once. */
            if ((round - 1) % 2 == 0) {
                learn(round - 1, SENDER_FREE);
                learn(round - 1, RECEIVER_FREE);
            }
        }
        mcapi_pktchan_connect_i(from, to, &request, &st);
        OK;
        finish(&request);
        tell(round, CONNECTED);
    }
    learn(ROUNDS - 1, SENDER_FREE);
    learn(ROUNDS - 1, RECEIVER_FREE);
    end_node();
}

int main(int argc, char** argv)
{
    static const body all[] = { sender, receiver, third };
    (void)argc;
    steps = mmap(NULL, ROUNDS * sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(steps != MAP_FAILED);
    run(argv[1], 3, all);
    return 0;
}
