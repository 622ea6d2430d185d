/* Two nodes send a message to and fro. */
#include "nodes.h"

#define ROUNDS 1000u

static void program(mcapi_node_t node)
{
    unsigned round, got;
    size_t size;
    mcapi_endpoint_t here = mcapi_endpoint_create(1, &status), there;
    ok("create");
    there = mcapi_endpoint_get(1, 3 - node, 1, MCAPI_TIMEOUT_INFINITE, &status);
    ok("get");
    for (round = 0; round < ROUNDS; round++) {
        if (node == 1) {
            mcapi_msg_send(here, there, &round, sizeof round, 0, &status);
            ok("ping");
        }
        mcapi_msg_recv(here, &got, sizeof got, &size, &status);
        ok("receive");
        if (got != round) {
            fprintf(stderr, "%u instead of %u\n", got, round);
            exit(1);
        }
        if (node == 2) {
            mcapi_msg_send(here, there, &got, sizeof got, 0, &status);
            ok("pong");
        }
    }
    if (node == 1)
        printf("%u rounds\n", ROUNDS);
}

int main(int argc, char** argv)
{
    return run_nodes(argc, argv, 2, program);
}
