/* Runs an example's nodes: without an argument, or with "threads", as threads of this process; with "processes" as processes;
 * with a number, only that node, so that each can be started by hand. Where a machine of a topology has some of the nodes,
 * MCAPI_NODES says which: only these. */
#ifndef NODES_H
#define NODES_H

#include <mcapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void (*node_program)(mcapi_node_t node);

static __thread mcapi_status_t status;
static node_program nodes_run;

static inline void ok(const char* what)
{
    if (status != MCAPI_SUCCESS) {
        char name[MCAPI_MAX_STATUS_SIZE];
        fprintf(stderr, "%s: %s\n", what, mcapi_display_status(status, name, sizeof name));
        exit(1);
    }
}

static inline size_t complete(mcapi_request_t* request, const char* what)
{
    size_t size = 0;
    mcapi_wait(request, &size, MCAPI_TIMEOUT_INFINITE, &status);
    ok(what);
    return size;
}

static inline void one_node(mcapi_node_t node)
{
    mcapi_info_t info;
    mcapi_initialize(1, node, NULL, NULL, &info, &status);
    ok("initialize");
    nodes_run(node);
    mcapi_finalize(&status);
    ok("finalize");
}

static inline void* node_thread(void* node)
{
    one_node(*(mcapi_node_t*)node);
    return NULL;
}

static inline int run_nodes(int argc, char** argv, int number, node_program program)
{
    mcapi_node_t nodes[16];
    const char* here = getenv("MCAPI_NODES");
    int n, failed = 0;
    nodes_run = program;
    for (n = 0; n < number; n++)
        nodes[n] = (mcapi_node_t)n + 1;
    for (n = 0; here != NULL && *here != 0 && n < number; n++) {
        char* end;
        nodes[n] = (mcapi_node_t)strtoul(here, &end, 10);
        here = *end == ',' ? end + 1 : end;
    }
    if (here != NULL)
        number = n;
    int threads = argc < 2 || strcmp(argv[1], "threads") == 0;
    if (!threads && strcmp(argv[1], "processes") != 0) {
        one_node((mcapi_node_t)atoi(argv[1]));
        return 0;
    }
    if (!threads) {
        for (n = 0; n < number; n++) {
            if (fork() == 0) {
                one_node(nodes[n]);
                exit(0);
            }
        }
        for (n = 0; n < number; n++) {
            int end = 1;
            if (wait(&end) < 0 || end != 0)
                failed = 1;
        }
    } else {
        pthread_t started[16];
        for (n = 0; n < number; n++)
            failed |= pthread_create(&started[n], NULL, node_thread, &nodes[n]);
        for (n = 0; n < number && !failed; n++)
            failed |= pthread_join(started[n], NULL);
    }
    return failed;
}

#endif
