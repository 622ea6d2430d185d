/* Node 2 talks until node 1 has had enough. Node 1 has when node 2 died, its calls said so, and, with the argument
 * "again", node 2 came back and was heard in its new life. */
#include <mcapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mcapi_status_t st;

static void is(mcapi_status_t expected, const char* what)
{
    char name[MCAPI_MAX_STATUS_SIZE];
    if (st != expected) {
        fprintf(stderr, "%s: %s\n", what, mcapi_display_status(st, name, sizeof name));
        exit(1);
    }
}

static void talk(mcapi_endpoint_t here)
{
    mcapi_endpoint_t there = mcapi_endpoint_get(1, 1, 1, MCAPI_TIMEOUT_INFINITE, &st);
    is(MCAPI_SUCCESS, "get");
    while (mcapi_msg_available(here, &st) == 0) {
        is(MCAPI_SUCCESS, "available");
        mcapi_msg_send(here, there, "tick", 4, 0, &st);
        if (st == MCAPI_ERR_TRANSMISSION) {
            /* The other one is gone, or took this one for gone. */
            there = mcapi_endpoint_get(1, 1, 1, MCAPI_TIMEOUT_INFINITE, &st);
            is(MCAPI_SUCCESS, "get again");
        } else if (st != MCAPI_ERR_MEM_LIMIT) {
            is(MCAPI_SUCCESS, "tick");
        }
        usleep(10000);
    }
}

static void outlive(mcapi_endpoint_t here, int again)
{
    mcapi_endpoint_t there, never;
    mcapi_request_t request;
    char tick[4];
    size_t size;
    mcapi_msg_recv(here, tick, sizeof tick, &size, &st);
    is(MCAPI_SUCCESS, "first tick");
    /* It is there, and never makes this endpoint: its death ends the wait. */
    mcapi_endpoint_get_i(1, 2, 99, &never, &request, &st);
    is(MCAPI_SUCCESS, "get");
    puts("heard");
    fflush(stdout);
    mcapi_wait(&request, &size, MCAPI_TIMEOUT_INFINITE, &st);
    is(MCAPI_ERR_TRANSMISSION, "death");
    puts("outlived");
    fflush(stdout);
    if (!again)
        return;
    there = mcapi_endpoint_get(1, 2, 1, MCAPI_TIMEOUT_INFINITE, &st);
    is(MCAPI_SUCCESS, "get of the new life");
    while (mcapi_msg_available(here, &st) > 0)
        mcapi_msg_recv(here, tick, sizeof tick, &size, &st);
    mcapi_msg_recv(here, tick, sizeof tick, &size, &st);
    is(MCAPI_SUCCESS, "tick of the new life");
    mcapi_msg_send(here, there, "enough", 6, 0, &st);
    is(MCAPI_SUCCESS, "enough");
}

int main(int argc, char** argv)
{
    mcapi_info_t info;
    const char* nodes = getenv("MCAPI_NODES");
    int node = nodes == NULL ? 0 : atoi(nodes);
    mcapi_initialize(1, (mcapi_node_t)node, NULL, NULL, &info, &st);
    is(MCAPI_SUCCESS, "initialize");
    mcapi_endpoint_t here = mcapi_endpoint_create(1, &st);
    is(MCAPI_SUCCESS, "create");
    if (node == 1)
        outlive(here, argc > 1 && strcmp(argv[1], "again") == 0);
    else
        talk(here);
    mcapi_finalize(&st);
    is(MCAPI_SUCCESS, "finalize");
    return 0;
}
